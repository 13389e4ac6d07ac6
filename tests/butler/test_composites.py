# SPDX-License-Identifier: BSD-3-Clause
"""Datasets in parts, through every verb that handles files."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler, DatasetRef, FileDataset
from lakebutler.butler.existence import DatasetExistence
from lakebutler.butler.maintenance.clone import clone
from lakebutler.butler.maintenance.garbage import collect_garbage
from lakebutler.butler.maintenance.pack import pack
from lakebutler.butler.maintenance.verify import verify_datasets
from lakebutler.errors import (
    ConflictingDefinitionError,
    DatasetNotFoundError,
    DatasetTypeNotSupportedError,
    FileFormatError,
    FileIntegrityError,
    RepositoryCorruptError,
    StorageClassError,
)
from lakebutler.registry.dataset_rows import FileRow
from tests.butler.composite_world import FULL, PARTIAL, Report, check, make, put_both, report_type
from tests.butler.world import CAM, Place, refused
from tests.cli.running import succeed
from tests.s3server import S3Server


@pytest.fixture
def butler(place: Place) -> Iterator[Butler]:
    with make(place) as made:
        yield made


@pytest.fixture
def here(local: Place) -> Iterator[Butler]:
    with make(local) as made:
        yield made


def files(place: Place) -> list[str]:
    return [name for name in place.tree() if name.startswith("datastore/")]


def make_old(place: Place) -> None:
    """Files of this very moment may belong to a commit under way: garbage is older."""
    for name in files(place):
        os.utime(f"{place.url}/{name}", (1e9, 1e9))


def test_each_part_is_a_file_and_all_come_back(butler: Butler, place: Place) -> None:
    refs = put_both(butler)
    assert len(files(place)) == 5
    check(butler, refs)
    with place.open() as reader:  # another process sees the same
        check(reader, refs)
        assert reader.exists(refs[0]) is DatasetExistence.VERIFIED
        assert set(reader._exists_many(refs).values()) == {DatasetExistence.VERIFIED}
        assert list(reader.get_many_uris(refs).values()) == [reader.getURIs(ref) for ref in refs]


def test_a_component_reads_its_own_file_only(here: Butler, local: Place) -> None:
    ref, partial = put_both(here)
    for name in ("summary", "output"):
        os.unlink(here.getURIs(ref).componentURIs[name].ospath)
    assert here.get("report.rows", instrument=CAM, detector=0) == FULL.rows
    assert here.get(ref.makeComponentRef("count")) == 4
    assert here.getDeferred(ref).get(component="rows", parameters={"slice": slice(1, 3)}) == [2, 3]
    assert here.get(ref.makeComponentRef("rows"), storageClass="Bytes") == b"[1,2,3,4]"
    with pytest.raises(FileNotFoundError, match=r"report\.summary"):
        here.get(ref)
    assert not here.stored(ref)
    assert here.exists(ref) == DatasetExistence.RECORDED | DatasetExistence.DATASTORE
    assert here.get(partial.makeComponentRef("rows")) is None  # it had none


def test_parameters_go_to_the_delegate_and_wrong_ones_are_named(here: Butler) -> None:
    ref, _ = put_both(here)
    assert here.get(ref, parameters={"slice": slice(2)}) == Report(FULL.summary, FULL.output, [1, 2])
    assert here.get(ref.makeComponentRef("rows"), parameters={"slice": slice(2)}) == [1, 2]
    for target in (ref, ref.makeComponentRef("rows")):
        with pytest.raises(StorageClassError, match="'slize'"):
            here.get(target, parameters={"slize": 1})


def test_it_has_no_address_and_no_content_of_its_own(here: Butler, local: Place) -> None:
    ref, _ = put_both(here)
    with pytest.raises(DatasetTypeNotSupportedError, match="3 files") as caught:
        here.getURI(ref)
    assert isinstance(caught.value, RuntimeError)  # as the field has it
    for name in ("Bytes", "Path"):
        with pytest.raises(FileFormatError, match="summary, output, rows"):
            here.get(ref, storageClass=name)


def test_addresses_are_predicted(here: Butler) -> None:
    primary, parts = here.getURIs("report", instrument=CAM, detector=3, predict=True)
    assert primary is None
    assert {name: uri.fragment for name, uri in parts.items()} == dict.fromkeys(
        ("summary", "output", "rows"), "predicted"
    )
    ref = DatasetRef(report_type(here), here.registry.expandDataId(instrument=CAM, detector=3), run="u/test")
    predicted = here.get_many_uris([ref], predict=True)[ref].componentURIs
    here.put(FULL, ref)
    assert {n: u.path for n, u in predicted.items()} == {
        n: u.path for n, u in here.getURIs(ref).componentURIs.items()
    }


def test_a_component_of_one_file_is_predicted_to_be_in_it(here: Butler) -> None:
    places = [
        here.getURI(name, instrument=CAM, exposure=101, detector=0, predict=True)
        for name in ("raw", "raw.wcs")
    ]
    stem = [place.path.rpartition("-")[0] for place in places]
    assert stem[0] == stem[1]
    assert stem[0].endswith("raw_Cam1_101_0") or "/raw/" in stem[0]


def test_a_part_that_changed_is_noticed(here: Butler) -> None:
    ref, partial = put_both(here)
    place = Path(here.getURIs(ref).componentURIs["rows"].ospath)
    place.write_bytes(place.read_bytes().replace(b"4", b"5"))
    for target in (ref, ref.makeComponentRef("rows")):
        with pytest.raises(FileIntegrityError, match=r"report\.rows"):
            here.get(target)
    assert here.get(ref.makeComponentRef("summary")) == FULL.summary
    report = verify_datasets(here.repository)
    assert [(f.kind, "report.rows" in f.object) for f in report.findings] == [("damaged file", True)]
    place.unlink()
    kinds = {f.kind for f in verify_datasets(here.repository).findings}
    assert (kinds, report.datasets, report.files) == ({"missing file"}, 2, 5)
    assert here.get(partial) == PARTIAL


def test_a_record_that_makes_no_sense_is_found_and_nothing_is_removed(here: Butler, local: Place) -> None:
    put_both(here)
    wrong = DatasetRef(
        report_type(here), here.registry.expandDataId(instrument=CAM, detector=2), run="u/test"
    )
    record = FileRow("components://{}", None, "components", "TestReport", 1, None)
    here._registry.add_one(wrong, record, op="put")
    found = verify_datasets(here.repository)
    assert [(f.kind, f.object) for f in found.findings] == [("bad path", "components://{}")]
    for act in (here.get, here.getURIs, here.exists):
        with pytest.raises(RepositoryCorruptError, match="components"):
            act(wrong)
    make_old(local)
    with pytest.raises(RepositoryCorruptError, match="components"):
        collect_garbage(here.repository, timedelta(0), delete=True, offline=True)
    assert len(files(local)) == 5
    here.pruneDatasets([wrong], disassociate=True, unstore=True, purge=True)
    assert not here.exists(wrong)
    assert verify_datasets(here.repository).findings == []
    assert len(files(local)) == 5


def test_what_cannot_be_written_leaves_nothing(here: Butler, local: Place) -> None:
    with refused(local, here, FileFormatError, "JSON"):
        here.put(Report({"a": 1}, {"b": 2}, [object()]), "report", instrument=CAM, detector=0)
    with refused(local, here, StorageClassError, "dict"):
        here.put({"a": 1}, "report", instrument=CAM, detector=0)
    with refused(local, here, FileFormatError, "no component"):
        here.put(Report(), "report", instrument=CAM, detector=0)
    put_both(here)
    with refused(local, here, ConflictingDefinitionError):
        here.put(FULL, "report", instrument=CAM, detector=0)
    before = local.tree()
    with pytest.raises(ZeroDivisionError), here.transaction():
        here.put(FULL, "report", instrument=CAM, detector=2)
        assert here.get("report", instrument=CAM, detector=2) == FULL
        1 / 0  # noqa: B018
    assert local.tree() == before


@pytest.mark.parametrize("step", ["second part", "commit"])
def test_a_crash_leaves_no_half_dataset(local: Place, step: str) -> None:
    """The process ends at once: what was written so far is garbage, and nothing refers to it."""
    with make(local) as butler:
        before = butler.version
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # there may be threads, which we do not use
            child = os.fork()
        if child == 0:
            _die_at(butler, step)
            butler.put(FULL, "report", instrument=CAM, detector=0)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    with local.open(run="u/test", writeable=True) as butler:
        assert butler.version == before
        assert len(files(local)) == (1 if step == "second part" else 3)
        assert not butler.exists("report", instrument=CAM, detector=0)
        make_old(local)
        found = collect_garbage(butler.repository, timedelta(0), delete=True, offline=True)
        assert (len(found.datasets), files(local)) == (1 if step == "second part" else 3, [])
        assert butler.get(butler.put(FULL, "report", instrument=CAM, detector=0)) == FULL


def _die_at(butler: Butler, step: str) -> None:
    place = butler._datastore.files if step == "second part" else butler._registry
    name = "create" if step == "second part" else "add_one"
    act, left = getattr(place, name), [1 if step == "second part" else 0]

    def dying(*args: Any, **kwargs: Any) -> Any:
        if not left[0]:
            os._exit(9)
        left[0] -= 1
        return act(*args, **kwargs)

    setattr(place, name, dying)


def test_who_loses_a_race_leaves_no_part(local: Place) -> None:
    with make(local) as butler:
        done: list[Any] = []

        def write() -> None:
            with local.open(run="u/test", writeable=True) as mine:
                try:
                    done.append(mine.put(FULL, "report", instrument=CAM, detector=2))
                except ConflictingDefinitionError as error:
                    done.append(error)

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refs = [one for one in done if isinstance(one, DatasetRef)]
        assert (len(done), len(refs)) == (4, 1)
        assert butler.get(refs[0]) == FULL
        assert len(files(local)) == 3


@pytest.mark.parametrize("how", ["prune", "unstore", "remove", "runs"])
def test_every_file_goes_with_its_dataset(butler: Butler, place: Place, how: str) -> None:
    refs = put_both(butler)
    kept = butler.put({"d": 0}, "bias", instrument=CAM, detector=0)
    match how:
        case "prune":
            butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
        case "unstore":
            butler.pruneDatasets(refs, disassociate=False, unstore=True)
            assert butler.exists(refs[0]) is DatasetExistence.RECORDED
        case "remove":
            butler.registry.removeDatasets(refs)
        case "runs":
            butler.removeRuns(["u/test"])
    assert len(files(place)) == (0 if how == "runs" else 1)
    if how != "runs":
        assert butler.get(kept) == {"d": 0}


def test_a_tag_keeps_every_file(here: Butler, local: Place) -> None:
    refs = put_both(here)
    here.tag("dr1")
    here.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
    assert len(files(local)) == 5
    with Butler.from_config(local.url, as_of="dr1") as old:
        check(old, refs)
    here.restore("dr1")
    check(here, refs)
    here.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
    here.delete_tag("dr1")
    os.unlink(local.url + "/" + next(name for name in files(local) if "report.rows" in name))
    with pytest.raises(DatasetNotFoundError, match="1 datasets"):
        here.restore(here.version - 2)


def test_garbage_is_what_no_part_names(here: Butler, local: Place) -> None:
    refs = put_both(here)
    for detector in range(2, 4):  # some rows in files, some in the log
        here.put(FULL, "report", instrument=CAM, detector=detector)
    orphan = Path(local.url, "datastore/u/test/report.rows/orphan.json")
    orphan.write_text("[]")
    make_old(local)
    found = collect_garbage(here.repository, timedelta(0), delete=True, offline=True)
    assert [info.path for info in found.datasets] == ["datastore/u/test/report.rows/orphan.json"]
    check(here, refs)
    assert verify_datasets(here.repository).findings == []


@pytest.mark.parametrize("transfer", ["copy", "direct", "hardlink", "relsymlink"])
def test_they_are_transferred(here: Butler, tmp_path: Path, transfer: str) -> None:
    refs = put_both(here)
    Butler.makeRepo(tmp_path / "other")
    with Butler.from_config(tmp_path / "other", writeable=True) as target:
        for expected in (2, 0):
            added = target.transfer_from(
                here, refs, transfer, register_dataset_types=True, transfer_dimensions=True
            )
            assert len(added) == expected
        check(target, refs)
        report = verify_datasets(target.repository)
        assert (report.findings, report.datasets) == ([], 2)
        os.unlink(here.getURIs(refs[0]).componentURIs["rows"].ospath)
    Butler.makeRepo(tmp_path / "third")
    with Butler.from_config(tmp_path / "third", writeable=True) as target:
        added = target.transfer_from(
            here, refs, "copy", register_dataset_types=True, transfer_dimensions=True
        )
        assert [target.stored(ref) for ref in refs] == [False, True]


def test_a_damaged_part_is_not_transferred(here: Butler, tmp_path: Path) -> None:
    refs = put_both(here)
    Path(here.getURIs(refs[0]).componentURIs["rows"].ospath).write_text("[]")
    other = Place(str(tmp_path / "other"))
    other.make()
    with other.open(writeable=True) as target, refused(other, target, FileIntegrityError, "report.rows"):
        target.transfer_from(here, refs, "copy", register_dataset_types=True, transfer_dimensions=True)


def test_they_are_transferred_from_elsewhere(butler: Butler, tmp_path: Path) -> None:
    refs = put_both(butler)
    Butler.makeRepo(tmp_path / "other")
    with Butler.from_config(tmp_path / "other", writeable=True) as target:
        target.transfer_from(butler, refs, "copy", register_dataset_types=True, transfer_dimensions=True)
        check(target, refs)


@pytest.mark.parametrize("form", ["yaml", "parquet"])
@pytest.mark.parametrize("transfer", ["copy", "direct", None])
def test_exports_carry_every_file(here: Butler, tmp_path: Path, form: str, transfer: str | None) -> None:
    refs = put_both(here)
    with here.export(directory=tmp_path / "out", filename=f"e.{form}", transfer=transfer, format=form) as out:
        out.saveDatasets(refs)
    Butler.makeRepo(tmp_path / "other")
    root = here.repository.root
    with Butler.from_config(tmp_path / "other", writeable=True, allow_external=[root]) as target:
        for _ in range(2):  # twice is once
            target.import_(
                directory=tmp_path / "out" if transfer == "copy" else root,
                filename=tmp_path / "out" / f"e.{form}",
                transfer="direct" if transfer == "direct" else "copy",
            )
        check(target, refs)
        assert verify_datasets(target.repository).findings == []


def test_an_export_can_say_where_each_file_is(here: Butler, tmp_path: Path) -> None:
    refs = put_both(here)
    seen = []

    def rewrite(file: FileDataset) -> FileDataset:
        seen.append(file.refs[0].datasetType.name)
        return FileDataset(f"sub/{file.location()}", file.refs, file.formatter)

    with here.export(directory=tmp_path, filename="e.yaml") as out:
        out.saveDatasets(refs, rewrite=rewrite)
    assert sorted(seen) == ["report.output"] * 2 + ["report.rows"] + ["report.summary"] * 2
    assert (tmp_path / "e.yaml").read_text().count("sub/datastore/u/test/report.") == 5


def test_an_export_with_parts_that_make_no_sense_is_refused(here: Butler, tmp_path: Path) -> None:
    refs = put_both(here)
    with here.export(directory=tmp_path, filename="e.yaml", transfer="copy") as out:
        out.saveDatasets(refs)
    good = (tmp_path / "e.yaml").read_text()
    other = Place(str(tmp_path / "other"))
    other.make()
    with other.open(writeable=True) as target:
        for old, new, word in (
            ("component: rows", 'component: "../x"', "component"),
            ('storage_class: "TestReport"', 'storage_class: "Text"', "no parts"),
            ('    storage_class: "StructuredDataList"\n', "", "storage_class"),
            ("component: output", "component: summary", "twice"),
        ):
            assert old in good
            (tmp_path / "e.yaml").write_text(good.replace(old, new))
            with pytest.raises((FileFormatError, ValueError), match=word):
                target.import_(directory=tmp_path, filename="e.yaml", transfer="copy")
            assert files(other) == []


def test_artifacts_and_zips_have_every_file(butler: Butler, tmp_path: Path) -> None:
    refs = put_both(butler)
    made = butler.retrieveArtifacts(refs, tmp_path / "out")
    assert sorted(place.basename().partition("_")[0] for place in made) == sorted(
        ["report.output", "report.summary"] * 2 + ["report.rows"]
    )
    archive = butler.retrieve_artifacts_zip(refs, tmp_path / "zip")
    other = Place(str(tmp_path / "other"))
    other.make()
    with other.open(writeable=True) as target:
        target.registry.registerDatasetType(report_type(target))
        target.ingest_zip(archive.ospath, transfer_dimensions=True)
        check(target, refs)


def test_a_component_brings_the_files_of_its_composite(here: Butler, tmp_path: Path) -> None:
    for ref in put_both(here):
        whole = here.retrieveArtifacts([ref], tmp_path / f"{ref.id}-whole")
        names = list(ref.datasetType.storageClass.components)
        parts = [ref.makeComponentRef(name) for name in names]
        made = here.retrieveArtifacts(parts, tmp_path / f"{ref.id}-parts")
        assert [one.basename() for one in made] == [one.basename() for one in whole]
        one = here.retrieveArtifacts(parts[:1], tmp_path / f"{ref.id}-one")
        assert len(one) == len(whole)


@pytest.mark.s3
def test_parts_that_were_read_are_kept_in_the_cache(
    s3_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = s3_server.root()
    place = Place(root.url, root.storage_options)
    with make(place) as butler:
        refs = put_both(butler)
    monkeypatch.setenv("DAF_BUTLER_CACHE_DIRECTORY", str(tmp_path / "cache"))

    def kept() -> int:
        return len([path for path in (tmp_path / "cache").rglob("*") if path.is_file()])

    with place.open() as reader:
        for _ in range(2):
            assert reader.get(refs[0].makeComponentRef("rows")) == FULL.rows
            assert kept() == 1
        check(reader, refs)
        assert kept() == 5


def test_clones_and_packed_repositories_have_every_file(here: Butler, tmp_path: Path) -> None:
    refs = put_both(here)
    root = here.repository.root
    assert clone(root, str(tmp_path / "clone")).files == 5
    with Butler.from_config(tmp_path / "clone", writeable=True) as copied:
        check(copied, refs)
        assert verify_datasets(copied.repository).findings == []
    assert pack(root, str(tmp_path / "one.lake")).files == 5
    with Butler.from_config(tmp_path / "one.lake", run="u/test", writeable=True) as packed:
        check(packed, refs)
        new = packed.put(FULL, "report", instrument=CAM, detector=2)
        assert packed.get(new) == FULL
        assert verify_datasets(packed.repository).findings == []
        packed.pruneDatasets([new], disassociate=True, unstore=True, purge=True)
        check(packed, refs)


def test_files_that_are_ingested_are_one_file(here: Butler, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": 1}')
    here.registry.registerDatasetType(report_type(here, "other", "StructuredDataDict"))
    ref = DatasetRef(
        report_type(here, "other", "StructuredDataDict"),
        here.registry.expandDataId(instrument=CAM, detector=0),
        run="u/test",
    )
    here.ingest(FileDataset(tmp_path / "x.json", ref), transfer="copy")
    assert here.getURI(ref).basename().startswith("other_")


def test_the_command_line_lists_and_retrieves_every_file(here: Butler, local: Place, tmp_path: Path) -> None:
    put_both(here)
    found = succeed("query-datasets", local.url, "report", "--show-uri").out
    assert found.count("\tfile://") == 5
    succeed("retrieve-artifacts", local.url, tmp_path / "out", "-d", "report", "--collections", "u/test")
    assert len([p for p in (tmp_path / "out").rglob("*") if p.is_file()]) == 5


def test_obscore_gives_no_address_to_what_has_several(here: Butler) -> None:
    put_both(here)
    rows = here.sql("SELECT count(*) FROM obscore WHERE access_url LIKE 'components%'").fetchall()
    assert rows == [(0,)]


def test_a_repository_without_the_setting_reads_what_was_written_with_it(here: Butler, local: Place) -> None:
    refs = put_both(here)
    config = Path(local.url, "butler.yaml")
    text = config.read_text()
    assert '"TestReport": true' in text
    config.write_text(text.replace('"TestReport": true', '"TestReport": false'))
    with local.open() as reader:
        check(reader, refs)
