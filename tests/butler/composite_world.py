# SPDX-License-Identifier: BSD-3-Clause
"""A composite of the tests' own, as a third party would bring it, and a repository that takes it apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lakebutler import (
    Butler,
    DatasetRef,
    DatasetType,
    StorageClass,
    StorageClassDelegate,
    StorageClassFactory,
)
from tests.butler.world import CAM, Place, fill


class Report:
    """Three parts; the rows can be missing."""

    def __init__(self, summary: Any = None, output: Any = None, rows: Any = None) -> None:
        self.summary, self.output, self.rows = summary, output, rows

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Report) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Report({self.summary}, {self.output}, {self.rows})"


class ReportDelegate(StorageClassDelegate):
    """Counts rows, and cuts them."""

    def getComponent(self, composite: Any, componentName: str) -> Any:
        if componentName == "count":
            return len(composite.rows)
        return super().getComponent(composite, componentName)

    def handleParameters(self, inMemoryDataset: Any, parameters: Mapping[str, Any] | None = None) -> Any:
        rest = dict(parameters or {})
        if "slice" in rest:
            whole = inMemoryDataset
            inMemoryDataset = Report(whole.summary, whole.output, whole.rows[rest.pop("slice")])
        return super().handleParameters(inMemoryDataset, rest)

    @classmethod
    def selectResponsibleComponent(cls, derivedComponent: str, fromComponents: Collection[str | None]) -> str:
        if derivedComponent == "count" and "rows" in fromComponents:
            return "rows"
        raise ValueError(derivedComponent)


COMPONENTS = {"summary": "StructuredDataDict", "output": "StructuredDataDict", "rows": "StructuredDataList"}
REPORT = StorageClass(
    "TestReport",
    Report,
    components=COMPONENTS,
    derivedComponents={"count": "int"},
    parameters=["slice"],
    delegate=ReportDelegate,
)
"""A storage class of the running program."""

WHOLE = StorageClass("TestReportWithout", Report, components=COMPONENTS, formatters=["pickle"])
"""The same without a delegate: nothing takes it apart."""

for _one in (REPORT, WHOLE):
    StorageClassFactory().registerStorageClass(_one)

IN_PARTS = {"datastore": {"composites": {"default": False, "disassembled": {"TestReport": True}}}}
FULL = Report({"a": 1}, {"b": [2]}, [1, 2, 3, 4])
PARTIAL = Report({"a": 2}, {"b": []})


def report_type(butler: Butler, name: str = "report", storage_class: str = "TestReport") -> DatasetType:
    return DatasetType(name, ["instrument", "detector"], storage_class, universe=butler.dimensions)


def make(place: Place, config: Mapping[str, Any] = IN_PARTS) -> Butler:
    """A writeable butler on a new repository."""
    Butler.makeRepo(place.url, config=config, storage_options=place.storage_options or None)
    butler = place.open(run="u/test", writeable=True)
    fill(butler)
    butler.registry.registerDatasetType(report_type(butler))
    return butler


def put_both(butler: Butler) -> tuple[DatasetRef, DatasetRef]:
    """A report with all parts, and one without rows."""
    with butler.transaction():
        return (
            butler.put(FULL, "report", instrument=CAM, detector=0),
            butler.put(PARTIAL, "report", instrument=CAM, detector=1),
        )


def check(butler: Butler, refs: tuple[DatasetRef, DatasetRef]) -> None:
    """Both can be read, whole and in parts, and have a file for each part."""
    assert [butler.get(ref) for ref in refs] == [FULL, PARTIAL]
    assert [list(butler.getURIs(ref).componentURIs) for ref in refs] == [
        ["summary", "output", "rows"],
        ["summary", "output"],
    ]
    assert butler.get(refs[0].makeComponentRef("rows")) == FULL.rows
    assert butler.get(refs[0].makeComponentRef("count")) == 4
    assert all(butler.stored_many(refs).values())
