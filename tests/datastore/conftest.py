# SPDX-License-Identifier: BSD-3-Clause
"""Datasets for the tests of the datastore."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datastore.datastore import Datastore
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.universe import DimensionUniverse

UNIVERSE = DimensionUniverse()


def make_ref(
    n: int = 0, *, name: str = "thing", storage_class: str = "StructuredDataDict", run: str = "u/me/run"
) -> DatasetRef:
    kind = DatasetType(name, ["exposure", "detector"], storage_class, universe=UNIVERSE)
    coordinate = DataCoordinate.standardize(
        instrument="HSC", exposure=n // 100, detector=n % 100, dimensions=kind.dimensions, universe=UNIVERSE
    )
    return DatasetRef(kind, coordinate, run=run)


@pytest.fixture
def ref() -> Callable[..., DatasetRef]:
    return make_ref


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "repo"
    place.mkdir()
    return place


@pytest.fixture
def datastore(root: Path) -> Datastore:
    return Datastore(str(root))


@pytest.fixture
def tree() -> Callable[[Path], dict[str, Any]]:
    """What a directory holds: content by relative path."""

    def look(place: Path) -> dict[str, Any]:
        return {
            str(path.relative_to(place)): path.readlink() if path.is_symlink() else path.read_bytes()
            for path in sorted(place.rglob("*"))
            if path.is_symlink() or path.is_file()
        }

    return look
