# SPDX-License-Identifier: BSD-3-Clause
"""A place for a repository, a small observatory to fill it with, and a look from outside."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler, ButlerError, DatasetType, Timespan

CAM = "Cam1"
DETECTORS = {0: "R22_S00", 1: "R22_S11", 2: "R22_S22", 3: "R30_S00"}
FILTERS = {"Cam1-g": "g", "Cam1-r": "r"}
DAYS = (20250101, 20250102)
EXPOSURES = {101: (20250101, 1, "Cam1-g"), 102: (20250101, 2, "Cam1-r"), 201: (20250102, 1, "Cam1-r")}
TYPES = {
    "note": (("instrument", "exposure", "detector"), "StructuredDataDict", False),
    "raw": (("instrument", "exposure", "detector"), "CCDData", False),
    "bias": (("instrument", "detector"), "StructuredDataDict", True),
    "flat": (("instrument", "detector", "physical_filter"), "StructuredDataDict", True),
    "catalog": (("instrument", "visit"), "ArrowTable", False),
    "setup": ((), "StructuredDataDict", False),
    "label": (("instrument",), "Text", False),
}


@dataclass
class Place:
    """Where a repository is or will be, and what can be seen there without our code."""

    url: str
    storage_options: dict[str, Any] = field(default_factory=dict)

    @property
    def remote(self) -> bool:
        return "://" in self.url

    def make(self, **kwargs: Any) -> str:
        return Butler.makeRepo(self.url, storage_options=self.storage_options, **kwargs)

    def open(self, **kwargs: Any) -> Butler:
        return Butler.from_config(self.url, storage_options=self.storage_options, **kwargs)

    def tree(self) -> dict[str, str]:
        """All files with what they hold, but the script of views, which may come a little later."""
        found = self._remote_tree() if self.remote else self._local_tree()
        return {path: mark for path, mark in found.items() if path != "registry/views.sql"}

    def _local_tree(self) -> dict[str, str]:
        found = {}
        for directory, _, names in os.walk(self.url):
            for name in names:
                path = Path(directory) / name
                content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
                found[str(path.relative_to(self.url))] = hashlib.sha256(content).hexdigest()
        return found

    def _remote_tree(self) -> dict[str, str]:
        import fsspec

        filesystem, root = fsspec.core.url_to_fs(self.url, **self.storage_options)
        filesystem.invalidate_cache()
        found = filesystem.find(root, detail=True)
        return {path.removeprefix(root + "/"): f"{i['size']} {i['ETag']}" for path, i in found.items()}

    def files(self) -> set[str]:
        """Files of datasets."""
        return {path for path in self.tree() if path.startswith("datastore/")}


def instant(text: str) -> Any:
    """A time, TAI."""
    from astropy.time import Time

    return Time(text, scale="tai")


def span(day: int, seq: int) -> Timespan:
    """When an exposure was taken: a minute, at the full hours from 18 h on."""
    text = f"{day // 10000}-{day // 100 % 100:02d}-{day % 100:02d}T{17 + seq:02d}"
    return Timespan(instant(f"{text}:00:00"), instant(f"{text}:01:00"))


def fill(butler: Butler) -> None:
    """Register one camera, two nights, three exposures, two visits and the dataset types, in one commit."""
    add = butler.registry.insertDimensionData
    with butler.transaction(message="the observatory"):
        add("instrument", {"name": CAM, "detector_max": 9, "exposure_max": 999, "visit_max": 999})
        add("physical_filter", *({"instrument": CAM, "name": n, "band": b} for n, b in FILTERS.items()))
        add(
            "detector",
            *(
                {"instrument": CAM, "id": i, "full_name": name, "raft": name[:3], "name_in_raft": name[4:]}
                for i, name in DETECTORS.items()
            ),
        )
        add("day_obs", *({"instrument": CAM, "id": day} for day in DAYS))
        add("group", *({"instrument": CAM, "name": f"group-{e}"} for e in EXPOSURES))
        add("visit_system", {"instrument": CAM, "id": 0, "name": "one-to-one"})
        for exposure, (day, seq, physical_filter) in EXPOSURES.items():
            common = {"instrument": CAM, "physical_filter": physical_filter, "day_obs": day, "seq_num": seq}
            add(
                "exposure",
                {
                    "id": exposure,
                    "obs_id": f"obs-{exposure}",
                    "group": f"group-{exposure}",
                    "timespan": span(day, seq),
                }
                | common,
            )
        for exposure in (101, 201):
            day, seq, physical_filter = EXPOSURES[exposure]
            row = {"instrument": CAM, "id": exposure, "name": f"visit {exposure}", "timespan": span(day, seq)}
            add("visit", row | {"physical_filter": physical_filter, "day_obs": day, "seq_num": seq})
            add("visit_definition", {"instrument": CAM, "exposure": exposure, "visit": exposure})
            add("visit_system_membership", {"instrument": CAM, "visit": exposure, "visit_system": 0})
        for name in TYPES:
            butler.registry.registerDatasetType(dataset_type(butler, name))


def dataset_type(butler: Butler, name: str) -> DatasetType:
    """One of the types of `TYPES`."""
    dimensions, storage_class, calibration = TYPES[name]
    return DatasetType(name, dimensions, storage_class, universe=butler.dimensions, isCalibration=calibration)


def note_id(exposure: int = 101, detector: int = 0) -> dict[str, Any]:
    return {"instrument": CAM, "exposure": exposure, "detector": detector}


def check_message(error: BaseException, *words: str) -> None:
    """One to three lines, each of readable length, which name the input and the next step.

    A line that only points at a place in the line above does not count.
    """
    lines = [line for line in str(error).splitlines() if line.strip(" ^")]
    assert 1 <= len(lines) <= 3, f"{len(lines)} lines: {error}"
    assert all(len(line) <= 400 for line in lines), f"a very long line: {error}"
    for word in words:
        assert word in str(error), f"{word!r} is not in: {error}"


@contextmanager
def refused(
    place: Place, butler: Butler, error: type[BaseException], *words: str
) -> Iterator[pytest.ExceptionInfo[BaseException]]:
    """The block raises our error with these words, and leaves no trace in the repository."""
    before = place.tree(), butler.version
    with pytest.raises(error) as caught:
        yield caught
    assert isinstance(caught.value, ButlerError), f"{type(caught.value).__name__} is not ours"
    check_message(caught.value, *words)
    assert butler.version == before[1]
    assert place.tree() == before[0]
