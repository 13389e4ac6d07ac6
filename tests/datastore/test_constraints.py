# SPDX-License-Identifier: BSD-3-Clause
"""A repository takes only what its constraints accept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lakebutler import (
    Butler,
    DataCoordinate,
    DatasetRef,
    DatasetType,
    DatasetTypeNotSupportedError,
    DimensionUniverse,
    FileDataset,
    RepositoryFormatError,
)
from lakebutler.datastore.constraints import Constraints

UNIVERSE = DimensionUniverse()


def ref(name: str = "bias", instrument: str = "Cam", storage_class: str = "StructuredDataDict") -> DatasetRef:
    kind = DatasetType(name, ["instrument", "detector"], storage_class, universe=UNIVERSE)
    return DatasetRef(
        kind, DataCoordinate.standardize(instrument=instrument, detector=1, universe=UNIVERSE), "run"
    )


@pytest.mark.parametrize(
    ("config", "accepted", "rejected"),
    [
        (None, [ref()], []),
        ({"accept": ["bias"]}, [ref()], [ref("dark")]),
        ({"reject": ["bias"]}, [ref("dark")], [ref()]),
        (
            {"accept": ["all"], "reject": ["StructuredDataList"]},
            [ref()],
            [ref("list", storage_class="StructuredDataList")],
        ),
        ({"accept": ["bias"], "reject": ["StructuredDataDict"]}, [ref()], [ref("dark")]),
        ({"accept": ["instrument+detector"]}, [ref()], []),
        ({"reject": [{"instrument<Cam>": ["bias"]}]}, [ref("dark"), ref(instrument="Other")], [ref()]),
        ({"accept": ["bias", {"instrument<Cam>": ["dark"]}]}, [ref("dark"), ref()], [ref("dark", "Other")]),
        ({"accept": ["bias"], "reject": ["bias"]}, [], [ref()]),
    ],
)
def test_the_most_telling_entry_decides(
    config: dict[str, Any] | None, accepted: list[DatasetRef], rejected: list[DatasetRef]
) -> None:
    constraints = Constraints(config)
    assert bool(constraints) == (config is not None)
    assert [constraints.accepts(r) for r in accepted] == [True] * len(accepted)
    assert [constraints.accepts(r) for r in rejected] == [False] * len(rejected)


@pytest.mark.parametrize("config", [{"accpet": []}, {"accept": "bias"}, {"accept": [3]}, ["bias"]])
def test_constraints_that_are_none_are_refused(config: Any) -> None:
    with pytest.raises(RepositoryFormatError):
        Constraints(config)


def test_a_rejected_dataset_leaves_no_trace(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    Butler.makeRepo(root, config={"datastore": {"constraints": {"reject": ["dark"]}}})
    with Butler(root, run="run") as butler:
        butler.registry.insertDimensionData("instrument", {"name": "Cam"})
        butler.registry.insertDimensionData("detector", {"instrument": "Cam", "id": 1, "full_name": "a"})
        for name in ("bias", "dark"):
            butler.registry.registerDatasetType(ref(name).datasetType)
        butler.put({"a": 1}, "bias", instrument="Cam", detector=1)
        version = butler.version
        files = sorted(p for p in (root / "datastore").rglob("*") if p.is_file())
        with pytest.raises(DatasetTypeNotSupportedError, match="dark"):
            butler.put({"a": 1}, "dark", instrument="Cam", detector=1)
        file = tmp_path / "x.json"
        file.write_text("{}")
        with pytest.raises(DatasetTypeNotSupportedError, match="dark"):
            butler.ingest(FileDataset(str(file), [ref("dark")]), transfer="copy")
        assert butler.version == version
        assert files == sorted(p for p in (root / "datastore").rglob("*") if p.is_file())
