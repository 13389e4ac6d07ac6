# SPDX-License-Identifier: BSD-3-Clause
"""Datasets in parts, exchanged with lsst.daf.butler: its repositories, its zips and ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler, StorageClass, StorageClassFactory
from lakebutler.butler.gen3.convert import convert_gen3
from lakebutler.butler.maintenance.verify import verify_datasets
from tests.butler import incumbent
from tests.butler.composite_world import FULL, PARTIAL, Report, ReportDelegate

FACTORY = StorageClassFactory()
FACTORY.addFromConfig({"TestPart": {"pytype": "dict", "formatters": ["json"]}})
FACTORY.addFromConfig({"TestRows": {"pytype": "list", "formatters": ["json"]}})
FACTORY.registerStorageClass(
    StorageClass(
        "TestComposite",
        Report,
        components={"summary": "TestPart", "output": "TestPart", "data": "TestRows"},
        delegate=ReportDelegate,
    )
)

MAKE = """
from lsst.daf.butler.tests import MetricsExample
JSON = "lsst.daf.butler.formatters.json.JsonFormatter"
CONFIG = Config({
    "datastore": {
        "composites": {"default": False, "disassembled": {"TestComposite": True}},
        "formatters": {"TestPart": JSON, "TestRows": JSON, "TestComposite": JSON},
    },
    "storageClasses": {
        "TestPart": {"pytype": "dict"},
        "TestRows": {"pytype": "list", "delegate": "lsst.daf.butler.tests.ListDelegate"},
        "TestComposite": {
            "pytype": "lsst.daf.butler.tests.MetricsExample",
            "delegate": "lsst.daf.butler.tests.MetricsDelegate",
            "components": {"summary": "TestPart", "output": "TestPart", "data": "TestRows"},
        },
    },
})

def make(root):
    Butler.makeRepo(root, config=CONFIG)
    butler = Butler.from_config(root, run="u/a", writeable=True)
    butler.registry.registerDatasetType(
        DatasetType("metric", ["detector"], "TestComposite", universe=butler.dimensions)
    )
    return butler
"""
FILL = (
    MAKE
    + """
root, out = sys.argv[1:3]
butler = make(root)
butler.registry.insertDimensionData("instrument", {"name": "Cam"})
for i in range(2):
    butler.registry.insertDimensionData("detector", {"instrument": "Cam", "id": i, "full_name": str(i)})
refs = [
    butler.put(MetricsExample({"a": 1}, {"b": [2]}, [1, 2, 3, 4]), "metric", instrument="Cam", detector=0),
    butler.put(MetricsExample({"a": 2}, {"b": []}, None), "metric", instrument="Cam", detector=1),
]
archive = butler.retrieve_artifacts_zip(refs, out)
names = [sorted(butler.getURIs(ref).componentURIs) for ref in refs]
print(json.dumps([[str(ref.id) for ref in refs], archive.ospath, names]))
"""
)
TAKE = (
    MAKE
    + """
root, archive, export = sys.argv[1:4]
butler = make(root)
butler.ingest_zip(archive, transfer="copy", transfer_dimensions=True)
found = [butler.get(ref).exportAsDict() for ref in butler.query_datasets("metric", order_by="detector")]
other = make(root + "-yaml")
try:
    other.import_(directory="/", filename=export, transfer="copy")
    refused = ""
except Exception as error:
    refused = type(error).__name__
print(json.dumps([found, refused, len(list(other.query_datasets("metric", explain=False)))]))
"""
)


def as_dict(report: Report) -> dict[str, Any]:
    return {"summary": report.summary, "output": report.output, "data": report.data}  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The incumbent's example calls the rows ``data``."""

    def init(self: Report, summary: Any = None, output: Any = None, data: Any = None) -> None:
        self.summary, self.output, self.data = summary, output, data  # type: ignore[attr-defined]

    monkeypatch.setattr(Report, "__init__", init)


EXPECTED = [
    {"summary": FULL.summary, "output": FULL.output, "data": FULL.rows},
    {"summary": PARTIAL.summary, "output": PARTIAL.output, "data": None},
]


def test_its_repositories_and_zips_are_read_and_it_reads_our_zips(tmp_path: Path) -> None:
    ids, archive, names = incumbent.run(FILL, tmp_path / "theirs", tmp_path / "zip", where=tmp_path)
    assert names == [["data", "output", "summary"], ["output", "summary"]]
    for mode in ("direct", "copy"):
        done = convert_gen3(tmp_path / "theirs", tmp_path / mode, transfer=mode, batch=2)
        assert (done.datasets, done.files, done.missing, done.disassembled) == (2, 5, (), 2)
        with Butler.from_config(tmp_path / mode) as butler:
            refs = butler.query_datasets("metric", collections="u/a", order_by="detector")
            assert [str(ref.id) for ref in refs] == ids
            assert [as_dict(butler.get(ref)) for ref in refs] == EXPECTED
            assert [sorted(butler.getURIs(ref).componentURIs) for ref in refs] == names
            assert butler.get(refs[0].makeComponentRef("data")) == FULL.rows
            assert verify_datasets(butler.repository).findings == []
    with Butler.from_config(tmp_path / "copy") as butler:
        ours = butler.retrieve_artifacts_zip(refs, tmp_path / "ours").ospath
        with butler.export(directory=tmp_path / "out", filename="e.yaml", transfer="copy") as export:
            export.saveDatasets(refs)
        kind = butler.get_dataset_type("metric")
    Butler.makeRepo(tmp_path / "zipped")
    with Butler.from_config(tmp_path / "zipped", writeable=True) as butler:
        butler.registry.registerDatasetType(kind)
        butler.ingest_zip(archive, transfer_dimensions=True)
        assert [as_dict(butler.get(ref)) for ref in refs] == EXPECTED
    found, refused, count = incumbent.run(
        TAKE, tmp_path / "back", ours, tmp_path / "out/e.yaml", where=tmp_path
    )
    assert found == EXPECTED
    assert (refused, count) == ("ConflictingDefinitionError", 0)  # it has no such exports of its own


def test_a_dataset_of_which_a_part_is_missing_is_registered_without(tmp_path: Path) -> None:
    incumbent.run(FILL, tmp_path / "theirs", tmp_path / "zip", where=tmp_path)
    lost = next((tmp_path / "theirs").rglob("metric_output_Cam_0*.json"))
    content = lost.read_bytes()
    lost.unlink()
    for mode in ("direct", "copy"):
        done = convert_gen3(tmp_path / "theirs", tmp_path / mode, transfer=mode)
        assert (done.files, len(done.missing)) == (2, 1)
        with Butler.from_config(tmp_path / mode) as butler:
            refs = butler.query_datasets("metric", collections="u/a", order_by="detector")
            assert [butler.stored(ref) for ref in refs] == [False, True]
    lost.write_bytes(content)
    convert_gen3(tmp_path / "theirs", tmp_path / "copy", transfer="copy")  # goes on
    with Butler.from_config(tmp_path / "copy") as butler:
        assert [as_dict(butler.get(ref)) for ref in refs] == EXPECTED
