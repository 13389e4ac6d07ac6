# SPDX-License-Identifier: BSD-3-Clause
"""A small registry, and a second writer on the same lake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lakebutler.collections.collection import CollectionType
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.lake.lake import Lake
from lakebutler.lake.storage import open_storage
from lakebutler.registry.registry import Registry
from lakebutler.registry.session import Session
from lakebutler.registry.views import repository_views

DETECTORS = 8


class World:
    """Registries on one directory.

    Parameters
    ----------
    root : `Path`
        The directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.universe = DimensionUniverse()
        self._lakes: list[Lake] = []
        lake = Lake.create(
            open_storage(str(root)), config={"dimensions": self.universe.to_config()}, views=repository_views
        )
        self._lakes.append(lake)
        self.registry = Registry(Session(lake, writeable=True), self.universe)
        self.bias = DatasetType(
            "bias", self.universe.conform(["detector"]), "StructuredDataDict", isCalibration=True
        )
        self._fill()

    def _fill(self) -> None:
        self.insert("instrument", [{"name": "Cam", "detector_max": DETECTORS}])
        rows = [{"instrument": "Cam", "id": i, "full_name": f"d{i}"} for i in range(DETECTORS)]
        self.insert("detector", rows)
        self.registry.register_dataset_type(self.bias)
        for run in ("run/a", "run/b"):
            self.registry.register_collection(run, CollectionType.RUN)
        self.registry.register_collection("tag", CollectionType.TAGGED)
        self.registry.register_collection("calib", CollectionType.CALIBRATION)
        self.registry.register_collection("chain", CollectionType.CHAINED)

    def insert(self, element: str, rows: list[dict[str, Any]], **how: bool) -> None:
        """Insert dimension records."""
        found = self.universe[element]
        records = [found.RecordClass(**row) for row in rows]
        settings = {"replace": False, "skip_existing": False, **how}
        self.registry.insert_records(found, records, **settings)

    def another(self) -> Registry:
        """A registry of another writer: its own lake object on the same directory."""
        lake = Lake.open(open_storage(str(self.root)), views=repository_views)
        self._lakes.append(lake)
        return Registry(Session(lake, writeable=True), self.universe)

    def ref(self, detector: int, run: str = "run/a") -> DatasetRef:
        """A new dataset, not registered."""
        data_id = DataCoordinate.standardize(instrument="Cam", detector=detector, universe=self.universe)
        return DatasetRef(self.bias, data_id, run=run)

    def add(self, detector: int, run: str = "run/a") -> DatasetRef:
        """A registered dataset."""
        ref = self.ref(detector, run)
        self.registry.add([ref], None, op="test")
        return ref

    def find(self, registry: Registry, collection: str, detector: int, **how: Any) -> Any:
        """Identity of the dataset that a search finds, `None` if none."""
        path = registry.search_path([collection])
        found = registry.find(self.bias, ("Cam", detector), path, **how)
        return None if found is None else found[1][found[0].index("id")]

    def close(self) -> None:
        """Close every lake."""
        for lake in self._lakes:
            lake.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "repo")
    yield made
    made.close()


@pytest.fixture
def tables(world: World) -> Callable[[], tuple[int, list[str]]]:
    """Version and file names, to show that a refused operation left nothing."""

    def look() -> tuple[int, list[str]]:
        files = sorted(str(p.relative_to(world.root)) for p in world.root.rglob("*") if p.is_file())
        return world.registry.snapshot.version, files

    return look
