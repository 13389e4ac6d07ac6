# SPDX-License-Identifier: BSD-3-Clause
"""Exports of the field and of ours: imported, exported, imported again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler, CollectionType, DatasetType, Timespan
from lakebutler.butler.exchange.import_yaml import Instant, load_yaml
from lakebutler.errors import (
    ConflictingDefinitionError,
    DatasetNotFoundError,
    ExternalFileError,
    FileFormatError,
    FileIntegrityError,
    MissingCollectionError,
    ReadOnlyButlerError,
    RepositoryExistsError,
    RepositoryFormatError,
    StorageError,
)
from tests.butler import incumbent
from tests.butler.world import CAM, Place, dataset_type, fill, instant, refused

HEAD = "description: x\nversion: 1.0.2\nuniverse_version: 8\nuniverse_namespace: daf_butler\n"


def new(tmp_path: Path, name: str = "new") -> Butler:
    Butler.makeRepo(tmp_path / name)
    return Butler.from_config(tmp_path / name, writeable=True)


def content(butler: Butler) -> dict[str, Any]:
    """All that a repository says, in plain values."""
    datasets, members = {}, []
    for kind in sorted(butler.registry.queryDatasetTypes("*")):
        for a in butler.registry.queryDatasetAssociations(kind, "*"):
            span = None if a.timespan is None else list(a.timespan.nsec)
            members.append((str(a.ref.id), a.collection, span))
            datasets[str(a.ref.id)] = (kind.name, a.ref.run, tuple(a.ref.dataId.required_values))
    records = {}
    for element in butler.dimensions.elements:
        if element.has_own_table:
            found = butler.query_dimension_records(element.name, explain=False)
            records[element.name] = sorted(map(str, (r.to_simple() for r in found)))
    used = {name for name, _, _ in datasets.values()}
    infos = butler.collections.query_info("*")
    return {
        "datasets": datasets,
        "members": sorted(members, key=str),
        "records": records,
        "collections": {i.name: (i.type, i.children, i.doc) for i in infos},
        "types": sorted(str(t) for t in butler.registry.queryDatasetTypes("*") if t.name in used),
    }


@pytest.fixture
def rich(tmp_path: Path) -> Iterator[Butler]:
    """Datasets in two runs, a tag, two validity ranges, a chain, odd names and values."""
    Butler.makeRepo(tmp_path / "rich")
    with Butler.from_config(tmp_path / "rich", run="u/a") as butler:
        fill(butler)
        biases = [butler.put({"d": d}, "bias", instrument=CAM, detector=d) for d in (0, 1)]
        for exposure in (101, 201):
            butler.put({"e": exposure}, "note", instrument=CAM, exposure=exposure, detector=1)
        butler.put({"global": "é — \" ' : #"}, "setup")
        two = butler.clone(run='u/b: # "odd" \'é')
        two.put({"d": 9}, "bias", instrument=CAM, detector=0)
        butler.collections.register("tag", CollectionType.TAGGED, "what is\tgood: yes")
        butler.registry.associate("tag", biases)
        butler.collections.register("cal", CollectionType.CALIBRATION)
        half = instant("2025-01-01T12:00:00.123456789")
        butler.registry.certify("cal", biases, Timespan(None, half))
        butler.registry.certify("cal", biases[:1], Timespan(half, None))
        butler.collections.register("inner", CollectionType.CHAINED)
        butler.registry.setCollectionChain("inner", ["cal", "tag"])
        butler.collections.register("chain", CollectionType.CHAINED)
        butler.registry.setCollectionChain("chain", ["inner", "u/a"])
        two.close()
        yield butler


def export_all(butler: Butler, directory: Path, **kwargs: Any) -> None:
    with butler.export(directory=directory, **kwargs) as context:
        for kind in butler.registry.queryDatasetTypes("*"):
            context.saveDatasets(butler.query_datasets(kind, "*", find_first=False, explain=False))
        for element in butler.dimensions.elements:
            if element.has_own_table:
                found = butler.query_dimension_records(element.name, explain=False)
                context.saveDimensionData(element, found)
        for name in butler.collections.query("*"):
            context.saveCollection(name)


# -------------------------------------------------------------------- the field's


def test_every_export_of_the_field_is_imported(shared_data: Path, tmp_path: Path) -> None:
    groups = [
        ["registry/base.yaml", "registry/datasets.yaml", "registry/spatial.yaml"],
        ["registry/hsc-rc2-subset-v0.yaml"],
        ["registry/hsc-rc2-subset.yaml"],
        ["exports/jointcal_cfht_exports.yaml"],
        ["exports/jointcal_hsc_exports.yaml"],
    ]
    found = {
        p.relative_to(shared_data) for d in ("exports", "registry") for p in (shared_data / d).glob("*.yaml")
    }
    assert found <= {Path(name) for group in groups for name in group} | {
        Path("exports/jointcal_latiss_exports.yaml")
    }
    for i, group in enumerate(groups):
        with new(tmp_path, str(i)) as butler:
            butler.collections.register(
                "refcats", CollectionType.CHAINED
            )  # a child of a chain in one of them
            for name in group:
                before = butler.version
                butler.import_(filename=shared_data / name, without_datastore=True)
                assert butler.version == before + 1
                butler.import_(filename=shared_data / name, without_datastore=True)
                assert butler.version == before + 1  # nothing is left to do
            assert sum(len(v) for v in content(butler)["records"].values()) > 10


def test_records_of_the_first_universe_are_migrated(shared_data: Path, tmp_path: Path) -> None:
    with new(tmp_path) as butler:
        butler.import_(filename=shared_data / "registry/hsc-rc2-subset-v0.yaml", without_datastore=True)
        visits = butler.query_dimension_records("visit")
        assert {v.day_obs for v in visits} == {
            d.dataId["day_obs"] for d in butler.query_dimension_records("day_obs")
        } - {20130617}
        members = butler.query_dimension_records("visit_system_membership")
        assert sorted(m.dataId["visit"] for m in members) == sorted(v.dataId["visit"] for v in visits)
        [exposure] = butler.query_dimension_records("exposure")
        assert exposure.group == "903342"


def test_old_numbers_of_datasets_get_the_ids_of_the_field(shared_data: Path, tmp_path: Path) -> None:
    name = shared_data / "exports/jointcal_hsc_exports.yaml"
    with new(tmp_path) as butler:
        butler.import_(filename=name, without_datastore=True)
        [camera] = butler.query_datasets("camera", "HSC/calib/unbounded")
        assert (
            butler.find_dataset(
                "camera", instrument="HSC", collections="HSC/calib", timespan=Timespan(None, None)
            )
            == camera
        )
        ours = content(butler)
    script = """
b = (Butler.makeRepo("r"), Butler.from_config("r", writeable=True))[1]
b.import_(filename=sys.argv[1], without_datastore=True)
print(json.dumps(state("r")))
"""
    theirs = incumbent.run(script, name, where=tmp_path)
    assert {k: [v[0], v[1]] for k, v in ours["datasets"].items()} == {
        k: v[:2] for k, v in theirs["datasets"].items()
    }
    spans = [[a, b, c] for a, b, c in ours["members"]]
    assert sorted(spans, key=str) == sorted(theirs["associations"], key=str)


def test_files_come_with_their_directory(tmp_path: Path) -> None:
    script = """
Butler.makeRepo("r")
b = Butler.from_config("r", run="run", writeable=True)
b.registry.insertDimensionData("instrument", {"name": "I"})
b.registry.registerDatasetType(DatasetType("d", ["instrument"], "StructuredDataDict", universe=b.dimensions))
b.put({"a": 1}, "d", instrument="I")
import os; os.mkdir("e")
with b.export(directory="e", filename="export.yaml", transfer="copy") as x:
    x.saveDatasets(b.query_datasets("d", "run"))
"""
    incumbent.run(script, where=tmp_path)
    for mode in ("copy", "direct", "relsymlink"):
        with new(tmp_path, mode) as butler:
            butler.import_(directory=tmp_path / "e", transfer=mode)
            assert butler.get("d", instrument="I", collections="run") == {"a": 1}
    shutil.copytree(tmp_path / "e" / "run", tmp_path / "in place" / "run")
    with new(tmp_path, "in place") as butler:
        butler.import_(filename=tmp_path / "e/export.yaml")
        assert butler.get("d", instrument="I", collections="run") == {"a": 1}


# ------------------------------------------------------------------- round trips


@pytest.mark.parametrize("format", ["yaml", "parquet"])
@pytest.mark.parametrize("transfer", ["copy", "direct", None])
def test_what_is_exported_is_imported_as_it_was(
    rich: Butler, tmp_path: Path, format: str, transfer: str | None
) -> None:
    export_all(rich, tmp_path / "e", format=format, transfer=transfer)
    directory = tmp_path / "e" if transfer is not None else Path(rich.root)
    with Butler.from_config(new(tmp_path).root, writeable=True, allow_external=[rich.root]) as butler:
        name = tmp_path / "e" / f"export.{format}"
        butler.import_(
            directory=directory, filename=name, transfer="direct" if transfer is None else transfer
        )
        assert content(butler) == content(rich)
        for kind in ("bias", "note", "setup"):
            for ref in rich.query_datasets(kind, "*", find_first=False):
                assert butler.get(ref) == rich.get(ref)
        version = butler.version
        butler.import_(
            directory=directory, filename=name, transfer="direct" if transfer is None else transfer
        )
        assert butler.version == version


def test_the_field_imports_what_we_export(rich: Butler, tmp_path: Path) -> None:
    export_all(rich, tmp_path / "e", transfer="copy")
    script = """
b = (Butler.makeRepo("r"), Butler.from_config("r", writeable=True))[1]
b.import_(directory=sys.argv[1], filename="export.yaml", transfer="copy")
found = state("r")
found["got"] = b.get("setup", collections="u/a")
print(json.dumps(found))
"""
    theirs = incumbent.run(script, tmp_path / "e", where=tmp_path)
    ours = content(rich)
    assert theirs["got"] == {"global": "é — \" ' : #"}
    assert {k: tuple(v[:2]) for k, v in theirs["datasets"].items()} == {
        k: v[:2] for k, v in ours["datasets"].items()
    }
    assert sorted(theirs["associations"], key=str) == sorted(
        ([a, b, c] for a, b, c in ours["members"]), key=str
    )
    assert {k: (v[0], tuple(v[1]), v[2]) for k, v in theirs["collections"].items()} == {
        k: (v[0].name, v[1], v[2]) for k, v in ours["collections"].items()
    }


def test_an_export_holds_what_was_asked_for(rich: Butler, tmp_path: Path) -> None:
    [note] = rich.query_datasets("note", "u/a", where=f"instrument='{CAM}' AND exposure=101")
    with rich.export(directory=tmp_path / "e", transfer="copy") as context:
        context.saveDatasets([note, note])
        context.saveDatasets([note], elements=["exposure"])
        context.saveDataIds([], elements=["visit"])
    document = load_yaml((tmp_path / "e/export.yaml").read_bytes(), "e")
    elements = {e["element"]: len(e["records"]) for e in document["data"] if e["type"] == "dimension"}
    assert elements == {
        "instrument": 1,
        "detector": 1,
        "physical_filter": 1,
        "day_obs": 1,
        "group": 1,
        "exposure": 1,
    }
    assert [c["name"] for c in document["data"] if c["type"] == "collection"] == ["u/a"]
    with rich.export(directory=tmp_path / "f") as context:
        context.saveDataIds([note.dataId], elements=["exposure"])
        context.saveDatasets(
            [note], elements=[], rewrite=lambda f: type(f)("elsewhere.json", f.refs, f.formatter)
        )
    document = load_yaml((tmp_path / "f/export.yaml").read_bytes(), "f")
    assert [e["element"] for e in document["data"] if e["type"] == "dimension"] == ["exposure"]
    [record] = [r for e in document["data"] if e["type"] == "dataset" for r in e["records"]]
    assert record["path"] == "elsewhere.json"


def test_an_export_is_read_from_an_open_file_too(rich: Butler, tmp_path: Path) -> None:
    export_all(rich, tmp_path / "e", transfer="copy")
    with new(tmp_path) as butler, open(tmp_path / "e/export.yaml") as stream:
        butler.import_(
            directory=tmp_path / "e", filename=stream, transfer="hardlink", skip_dimensions={"tract"}
        )
        assert content(butler) == content(rich)


def test_a_repository_in_one_file_is_exported_by_copies(rich: Butler, tmp_path: Path) -> None:
    from lakebutler.butler.maintenance.pack import pack

    pack(rich.root, str(tmp_path / "all.lake"))
    with Butler.from_config(tmp_path / "all.lake") as packed:
        with pytest.raises(StorageError, match="copy"), packed.export(transfer="direct"):
            pass
        export_all(packed, tmp_path / "e", transfer="copy")
    with new(tmp_path) as butler:
        butler.import_(directory=tmp_path / "e", transfer="copy")
        assert content(butler) == content(rich)


def test_an_export_that_fails_leaves_nothing(rich: Butler, tmp_path: Path) -> None:
    refs = rich.query_datasets("bias", "u/a")
    with pytest.raises(ZeroDivisionError), rich.export(directory=tmp_path / "e", transfer="copy") as context:
        context.saveDatasets(refs)
        1 / 0  # noqa: B018
    assert not [p for p in (tmp_path / "e").rglob("*") if p.is_file()]
    with pytest.raises(MissingCollectionError), rich.export(directory=tmp_path / "e") as context:
        context.saveCollection("nosuch")
    with pytest.raises(StorageError), rich.export(filename=tmp_path / "x.yaml", transfer="copy"):
        pass
    with pytest.raises(FileFormatError, match="yaml"), rich.export(format="xml"):
        pass


# --------------------------------------------------------------------- bad input


def test_wrong_exports_are_refused_and_change_nothing(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "repo"))
    place.make()
    detector = "- {type: dimension, element: detector, records: [{instrument: X, id: 1, full_name: a}]}\n"
    cases = [
        ("", RepositoryFormatError, "empty"),
        ("a: [", RepositoryFormatError, "line"),
        ("- 1\n", RepositoryFormatError, "data"),
        ("version: 1.0.2\ndata: 3\n", RepositoryFormatError, "data"),
        (HEAD.replace("1.0.2", "2.0.0") + "data: []\n", RepositoryFormatError, "2.0.0"),
        (HEAD.replace("1.0.2", "1.1.0") + "data: []\n", RepositoryFormatError, "1.1.0"),
        (HEAD.replace("version: 8", "version: 9") + "data: []\n", RepositoryFormatError, "version 9"),
        (HEAD.replace("daf_butler", "mine") + "data: []\n", RepositoryFormatError, "mine"),
        (HEAD + "data:\n- {type: nosuch}\n", RepositoryFormatError, "nosuch"),
        (
            HEAD + "data:\n- {type: dimension, element: nosuch, records: [{a: 1}]}\n",
            RepositoryFormatError,
            "nosuch",
        ),
        (HEAD + "data:\n- {type: dimension}\n", RepositoryFormatError, "data[0]"),
        (HEAD + "data:\n" + detector, ValueError, "instrument"),
        (HEAD + "data:\n- !!python/object/apply:os.system [date]\n", RepositoryFormatError, "python"),
        (HEAD + "data:\n- &a [*a]\n", RepositoryFormatError, "data[0]"),
        (HEAD + "data:\n- {type: collection, collection_type: RUN, name: a/../b}\n", ValueError, "a/../b"),
        (
            HEAD + "data:\n- {type: collection, collection_type: CHAINED, name: c, children: [d]}\n",
            MissingCollectionError,
            "'d'",
        ),
        (
            HEAD + "data:\n- {type: collection, collection_type: CHAINED, name: c, children: [c]}\n",
            ValueError,
            "c",
        ),
    ]
    with place.open(writeable=True) as butler:
        for i, (text, error, word) in enumerate(cases):
            path = tmp_path / f"{i}.yaml"
            path.write_text(text)
            with refused(place, butler, error, word):
                butler.import_(filename=path)
        with refused(place, butler, DatasetNotFoundError, "nosuch.yaml"):
            butler.import_(filename=tmp_path / "nosuch.yaml")
    with place.open() as reader, pytest.raises(ReadOnlyButlerError):
        reader.import_(filename=tmp_path / "0.yaml")


def edited(directory: Path, pattern: str, new_text: str, name: str = "edited.yaml") -> str:
    text = (directory / "export.yaml").read_text()
    changed = re.sub(pattern, new_text, text, count=1)
    assert changed != text
    (directory / name).write_text(changed)
    return name


def test_conflicts_are_refused_and_change_nothing(rich: Butler, tmp_path: Path) -> None:
    export_all(rich, tmp_path / "e", transfer="copy")
    e = tmp_path / "e"
    place = Place(str(tmp_path / "repo"))
    place.make()
    ids = re.findall(r"!uuid '([0-9a-f-]+)'", (e / "export.yaml").read_text())
    with place.open(writeable=True) as butler:
        with refused(place, butler, DatasetNotFoundError, "nosuch.json"):
            butler.import_(
                directory=e, filename=edited(e, r'path: "[^"]*"', 'path: "nosuch.json"'), transfer="copy"
            )
        with refused(place, butler, ExternalFileError, "../"):
            butler.import_(
                directory=e, filename=edited(e, r'path: "[^"]*"', 'path: "../x.json"'), transfer="copy"
            )
        with refused(place, butler, ExternalFileError, "/etc/passwd"):
            butler.import_(
                directory=e, filename=edited(e, r'path: "[^"]*"', 'path: "/etc/passwd"'), transfer="direct"
            )
        other = "00000000-0000-4000-8000-000000000001"
        with refused(place, butler, RepositoryFormatError, other):
            text = (e / "export.yaml").read_text()
            head, tail = text.split("- type: associations", 1)
            (e / "edited.yaml").write_text(head + "- type: associations" + tail.replace(ids[0], other))
            butler.import_(directory=e, filename="edited.yaml", transfer="copy")
        butler.import_(directory=e, transfer="copy")
        with refused(place, butler, ConflictingDefinitionError, "data ID is taken"):
            (e / "edited.yaml").write_text((e / "export.yaml").read_text().replace(ids[0], other))
            butler.import_(directory=e, filename="edited.yaml", transfer="copy")
        with refused(place, butler, ConflictingDefinitionError, "valid there"):
            name = edited(
                e,
                r"begin: null\n( *)end: !butler_time/tai/iso '2025-01-01",
                r"begin: null\n\1end: !butler_time/tai/iso '2024-01-01",
            )
            butler.import_(directory=e, filename=name, transfer="copy")
        with refused(place, butler, ValueError, "StructuredDataList"):
            name = edited(
                e,
                r'(name: "bias"\n(?:.*\n){1,6}  storage_class: )"StructuredDataDict"',
                r'\1"StructuredDataList"',
            )
            butler.import_(directory=e, filename=name, transfer="copy")


def test_an_import_that_was_broken_off_is_repeated(
    rich: Butler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_all(rich, tmp_path / "e", transfer="copy")
    place = Place(str(tmp_path / "repo"))
    place.make()
    with place.open(writeable=True) as butler:
        lake = butler.repository.lake
        with monkeypatch.context() as patch:
            patch.setattr(lake, "commit", lambda *a, **k: (_ for _ in ()).throw(StorageError("no room")))
            with refused(place, butler, StorageError, "no room"):
                butler.import_(directory=tmp_path / "e", transfer="copy")
        butler.import_(directory=tmp_path / "e", transfer="copy")
        assert content(butler) == content(rich)


def test_datasets_that_were_registered_without_files_get_them(rich: Butler, tmp_path: Path) -> None:
    export_all(rich, tmp_path / "e", transfer="copy")
    with new(tmp_path) as butler:
        butler.import_(directory=tmp_path / "e", without_datastore=True)
        [setup] = butler.query_datasets("setup", "u/a")
        assert not butler.stored(setup)
        butler.import_(directory=tmp_path / "e", transfer="copy")
        assert butler.get(setup) == rich.get(setup)
        assert content(butler) == content(rich)


def test_an_import_inside_a_transaction_is_undone_with_it(rich: Butler, tmp_path: Path) -> None:
    export_all(rich, tmp_path / "e", transfer="copy")
    place = Place(str(tmp_path / "repo"))
    place.make()
    with place.open(writeable=True) as butler:
        before = place.tree()
        with pytest.raises(ZeroDivisionError), butler.transaction():
            butler.import_(directory=tmp_path / "e", transfer="copy")
            assert len(butler.query_datasets("bias", "u/a")) == 2
            1 / 0  # noqa: B018
        assert place.tree() == before
        assert butler.version == 0


def test_a_damaged_parquet_export_is_refused(rich: Butler, tmp_path: Path) -> None:
    export_all(rich, tmp_path / "e", format="parquet", transfer="copy")
    with pytest.raises(RepositoryExistsError), rich.export(directory=tmp_path / "e", format="parquet"):
        pass
    place = Place(str(tmp_path / "repo"))
    place.make()
    good = tmp_path / "e" / "export.parquet"
    [some] = good.glob("dataset_instrument_detector.parquet")

    def damaged(change: Any) -> Path:
        bad = tmp_path / "e" / "bad.parquet"
        shutil.rmtree(bad, ignore_errors=True)
        shutil.copytree(good, bad)
        manifest = json.loads((bad / "manifest.json").read_text())
        change(bad, manifest)
        (bad / "manifest.json").write_text(json.dumps(manifest))
        return bad

    cases: list[tuple[Any, type[BaseException], str]] = [
        (lambda b, m: m.update(version=2), RepositoryFormatError, "version 2"),
        (lambda b, m: m.update(format="other"), RepositoryFormatError, "manifest.json"),
        (lambda b, m: m.update(universe_version=3), RepositoryFormatError, "version 3"),
        (lambda b, m: m.pop("tables"), RepositoryFormatError, "tables"),
        (lambda b, m: m["tables"][0].update(file="../x.parquet"), RepositoryFormatError, "../x.parquet"),
        (lambda b, m: m["tables"][0].update(sha256="0" * 64), FileIntegrityError, "checksum"),
        (lambda b, m: (b / some.name).unlink(), DatasetNotFoundError, some.name),
    ]
    with place.open(writeable=True) as butler:
        for change, error, word in cases:
            bad = damaged(change)
            with refused(place, butler, error, word):
                butler.import_(directory=tmp_path / "e", filename=bad, transfer="copy")
        [file] = (tmp_path / "e").rglob("setup*.json")
        file.write_text("{}")
        with refused(place, butler, FileIntegrityError, "setup"):
            butler.import_(directory=tmp_path / "e", filename=good, transfer="copy")


# -------------------------------------------------------------------------- YAML


def test_yaml_is_read_as_the_safe_loader_reads_it() -> None:
    import yaml

    text = """
a: [1, -2, 0o17, 017, 0x1F, 1_000, 1.5, 1e5, 1.0e+5, .inf, -.inf, 12345678901234567890, 1:30]
b: [true, No, on, ~, null, '', "x", 'true', '1', 2020-01-01, 2020-01-01 10:00:00, a b]
c: !!binary aGVsbG8=
d: !!str 5
e: |
  two
  lines
f: &x {k: 1}
g: [*x, *x]
1: one
"""
    assert load_yaml(text, "t") == yaml.safe_load(text)


def test_tags_of_exports_become_values() -> None:
    from uuid import UUID

    from lsst.sphgeom import Circle

    region = Circle().encode()
    made = load_yaml(
        "a: !uuid 'e15ab039-bc8b-4135-87c5-90902a7c0b22'\n"
        f"b: !<lsst.sphgeom.Circle> {{encoded: '{region.hex()}'}}\n"
        "c: !butler_time/tai/iso '1970-01-01 00:00:01.5'\n"
        "d: !lsst.daf.butler.Timespan EMPTY\n"
        "e: !lsst.daf.butler.Timespan {begin: !butler_time/tai/iso '1970-01-01 00:00:01', end: null}\n",
        "t",
    )
    assert made["a"] == UUID("e15ab039-bc8b-4135-87c5-90902a7c0b22")
    assert made["b"] == region
    assert made["c"] == Instant(1_500_000_000)
    assert made["d"].isEmpty()
    assert made["e"].nsec[0] == 1_000_000_000


@pytest.mark.parametrize(
    "text",
    [
        "a: !uuid nonsense",
        "a: !butler_time/tai/iso 'soon'",
        "a: !<lsst.sphgeom.Circle> {encoded: zz}",
        "a: !<lsst.sphgeom.Circle> {other: 1}",
        "a: !!python/name:os.system",
        "a: !unknown 1",
        "? [1, 2]\n: 3",
        "a: *nosuch",
        "a: 1\n---\nb: 2",
        "[" * 100 + "]" * 100,
        "a: 2020-13-45",
        "a: \x00",
    ],
)
def test_yaml_that_is_no_export_is_refused(text: str) -> None:
    with pytest.raises(RepositoryFormatError):
        load_yaml(text, "t")


def test_a_type_that_is_not_known_here_keeps_its_names(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"abc")
    (tmp_path / "export.yaml").write_text(
        HEAD
        + """data:
- {type: collection, collection_type: RUN, name: r, host: null, timespan_begin: null, timespan_end: null}
- {type: dataset_type, name: odd, dimensions: [], storage_class: NobodysClass, is_calibration: false}
- type: dataset
  dataset_type: odd
  run: r
  records:
  - dataset_id: [!uuid '0a4e7a66-41a5-4d0d-8ae4-0d2a1b1c0001']
    data_id: [{}]
    path: x.bin
    formatter: nobody.has.this.Formatter
"""
    )
    with new(tmp_path) as butler:
        butler.import_(directory=tmp_path, transfer="copy")
        [ref] = butler.query_datasets("odd", "r")
        assert ref.datasetType.storageClass_name == "NobodysClass"
        assert butler.get(ref, storageClass="Bytes") == b"abc"
        with pytest.raises((FileFormatError, TypeError), match=r"nobody|NobodysClass"):
            butler.get(ref)
        with butler.export(directory=tmp_path / "again", transfer="copy") as context:
            context.saveDatasets([ref])
    assert "formatter: nobody.has.this.Formatter" in (tmp_path / "again/export.yaml").read_text()


def test_a_file_of_several_datasets_is_one_record(tmp_path: Path) -> None:
    with new(tmp_path, "one") as butler:
        fill(butler)
        from lakebutler import DatasetRef, FileDataset

        path = tmp_path / "both.json"
        path.write_text("{}")
        kind: DatasetType = dataset_type(butler, "bias")
        refs = [
            DatasetRef(kind, butler.registry.expandDataId(instrument=CAM, detector=d), run="r")
            for d in (0, 1)
        ]
        butler.ingest(FileDataset(path, refs), transfer="copy")
        with butler.export(directory=tmp_path / "e", transfer="copy") as context:
            context.saveDatasets(refs)
        with new(tmp_path, "two") as other:
            other.import_(directory=tmp_path / "e", transfer="copy")
            assert other.getURI(refs[0]) == other.getURI(refs[1])
