# SPDX-License-Identifier: BSD-3-Clause
"""Files that exist become datasets, in every transfer mode; what fails leaves no trace."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lakebutler import (
    Butler,
    CollectionNameError,
    ConflictingDefinitionError,
    DatasetIdGenEnum,
    DatasetNotFoundError,
    DatasetRef,
    DatasetType,
    DatasetTypeError,
    ExternalFileError,
    FileDataset,
    FileFormatError,
    FileIntegrityError,
    MissingDatasetTypeError,
    StorageError,
)
from lakebutler.errors import CollectionTypeError, DataIdValueError
from tests.butler.world import CAM, Place, check_message, dataset_type, note_id, refused

SAME = DatasetIdGenEnum.DATAID_TYPE_RUN


def ref_to(butler: Butler, name: str = "note", run: str = "u/test", **values: Any) -> DatasetRef:
    """A reference that is the same whenever it is made."""
    data_id = {"instrument": CAM, "exposure": 101, "detector": 0} | values
    return DatasetRef(dataset_type(butler, name), data_id, run=run, id_generation_mode=SAME)


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_fits(path: Path, seed: int = 0, hdus: int = 1) -> Path:
    """A file as a camera writes it: a header-only primary HDU, and an image for each detector."""
    import numpy as np
    from astropy.io import fits

    random = np.random.default_rng(seed)
    primary = fits.PrimaryHDU()
    primary.header["OBSID"] = "obs-101"
    primary.header["INSTRUME"] = CAM
    images = [
        fits.ImageHDU(random.integers(0, 60000, (12, 16)).astype("uint16"), name=f"DET{i}")
        for i in range(hdus)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList([primary, *images]).writeto(path)
    return path


# ------------------------------------------------------------------------ modes


@pytest.mark.parametrize(
    "mode", ["copy", "move", "auto", "link", "hardlink", "symlink", "relsymlink", "direct", "split"]
)
def test_a_file_from_outside_comes_in(place: Place, butler: Butler, tmp_path: Path, mode: str) -> None:
    linking = {"link", "hardlink", "symlink", "relsymlink"}
    source = write_json(tmp_path / "in" / "a file.json", {"from": mode})
    ref = ref_to(butler)
    if place.remote and mode in linking:
        with refused(place, butler, StorageError, mode, "copy"):
            butler.ingest(FileDataset(str(source), ref), transfer=mode)
        return
    butler.ingest(FileDataset(source, ref), transfer=mode)
    assert butler.get("note", note_id()) == {"from": mode}
    assert source.exists() == (mode != "move")
    uri = butler.getURI(ref)
    if mode in {"direct", "split"}:
        assert uri.ospath == str(source)
        assert place.files() == set()
    else:
        assert len(place.files()) == 1
        assert str(uri).startswith(place.url if place.remote else Path(place.url).as_uri())
    if mode in {"symlink", "relsymlink"}:
        assert os.path.islink(uri.ospath)
        assert os.path.isabs(os.readlink(uri.ospath)) == (mode == "symlink")
    if mode in {"link", "hardlink"}:
        assert os.path.samefile(uri.ospath, source)
    with place.open(collections="u/test") as other:
        assert other.get(ref) == {"from": mode}
        assert other.exists(ref)
        assert other.stored(ref)


@pytest.mark.parametrize("mode", [None, "auto", "split", "copy", "move", "direct"])
def test_a_file_that_lies_inside_already(
    place: Place, butler: Butler, tmp_path: Path, mode: str | None
) -> None:
    if place.remote:
        import fsspec

        filesystem, root = fsspec.core.url_to_fs(place.url, **place.storage_options)
        filesystem.pipe_file(f"{root}/incoming/a.json", b'{"a": 1}')
        inside = f"{place.url}/incoming/a.json"
        if mode == "move":
            with refused(place, butler, StorageError, "move"):
                butler.ingest(FileDataset(inside, ref_to(butler)), transfer=mode)
            return
    else:
        inside = str(write_json(Path(place.url) / "incoming" / "a.json", {"a": 1}))
    ref = ref_to(butler)
    butler.ingest(FileDataset(inside, ref), transfer=mode)
    assert butler.get(ref) == {"a": 1}
    where = str(butler.getURI(ref))
    assert where.endswith("/incoming/a.json") == (mode in {None, "auto", "split", "direct"})
    assert ("incoming/a.json" in place.tree()) == (mode != "move")


def test_a_path_relative_to_the_repository_lies_inside(place: Place, butler: Butler) -> None:
    if place.remote:
        import fsspec

        filesystem, root = fsspec.core.url_to_fs(place.url, **place.storage_options)
        filesystem.pipe_file(f"{root}/incoming/a.json", b'{"a": 1}')
    else:
        write_json(Path(place.url) / "incoming" / "a.json", {"a": 1})
    butler.ingest(FileDataset("incoming/a.json", ref_to(butler)), transfer=None)
    assert butler.get("note", note_id()) == {"a": 1}


def test_a_file_in_place_is_not_removed_when_the_ingest_fails(local: Place, local_butler: Butler) -> None:
    inside = write_json(Path(local.url) / "incoming" / "a.json", {"a": 1})
    local_butler.put({}, "note", note_id())
    with refused(local, local_butler, ConflictingDefinitionError, "note"):
        local_butler.ingest(FileDataset(inside, ref_to(local_butler)), transfer=None)
    assert inside.exists()


@pytest.mark.s3
def test_a_file_from_the_store_comes_into_a_local_repository(
    local: Place, local_butler: Butler, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = request.getfixturevalue("s3_server").root()
    import fsspec

    filesystem, root = fsspec.core.url_to_fs(far.url, **far.storage_options)
    filesystem.pipe_file(f"{root}/far/a.json", b'{"far": 1}')
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", far.storage_options["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", far.storage_options["secret"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", far.storage_options["endpoint_url"])
    source, missing = f"{far.url}/far/a.json", f"{far.url}/far/b.json"
    for mode in ("link", "move"):
        with refused(local, local_butler, StorageError, "far/a.json", mode):
            local_butler.ingest(FileDataset(source, ref_to(local_butler)), transfer=mode)
    for mode in ("copy", "direct"):
        with refused(local, local_butler, DatasetNotFoundError, "far/b.json"):
            local_butler.ingest(FileDataset(missing, ref_to(local_butler)), transfer=mode)
    refs = [ref_to(local_butler), ref_to(local_butler, detector=1)]
    local_butler.ingest(FileDataset(source, refs[0]), transfer="copy")
    local_butler.ingest(FileDataset(source, refs[1]), transfer="direct")
    assert [local_butler.get(ref) for ref in refs] == [{"far": 1}] * 2
    assert [local_butler.getURI(ref).scheme for ref in refs] == ["file", "s3"]


# ------------------------------------------------------------------- what is in


def test_real_fits_files_come_back_bit_by_bit(place: Place, butler: Butler, tmp_path: Path) -> None:
    import numpy as np
    from astropy.io import fits

    files = [write_fits(tmp_path / f"raw{d}.fits", d) for d in range(3)]
    refs = [ref_to(butler, "raw", detector=d) for d in range(3)]
    butler.ingest(*(FileDataset(f, r) for f, r in zip(files, refs, strict=True)), transfer="copy")
    for path, ref in zip(files, refs, strict=True):
        assert butler.get(ref, storageClass="Bytes") == path.read_bytes()
        assert butler.get(ref.makeComponentRef("header"))["OBSID"] == "obs-101"
        got = butler.get(ref)
        with fits.open(path) as hdus:
            assert np.array_equal(got.data, hdus[1].data)


def test_one_file_can_hold_several_datasets(place: Place, butler: Butler, tmp_path: Path) -> None:
    import numpy as np
    from astropy.io import fits

    path = write_fits(tmp_path / "mosaic.fits", hdus=3)
    refs = [ref_to(butler, "raw", detector=d) for d in range(3)]
    before = butler.version
    butler.ingest(FileDataset(path, refs), transfer="copy")
    assert butler.version == before + 1
    assert len(place.files()) == 1
    assert len({str(butler.getURI(ref)) for ref in refs}) == 1
    with fits.open(path) as hdus:
        for number, ref in enumerate(refs):
            got = butler.get(ref, parameters={"hdu": f"DET{number}"})
            assert np.array_equal(got.data, hdus[number + 1].data)
    assert butler.find_dataset("raw", ref_to(butler, "raw", detector=2).dataId) == refs[2]


def test_a_formatter_can_be_chosen_for_a_file(place: Place, butler: Butler, tmp_path: Path) -> None:
    path = tmp_path / "settings.conf"
    path.write_text("a: 1\n")
    butler.ingest(FileDataset(path, ref_to(butler), formatter="yaml"), transfer="copy")
    assert butler.get("note", note_id()) == {"a": 1}
    other = ref_to(butler, detector=1)
    with refused(place, butler, FileFormatError, "yamml", "'yaml'"):
        butler.ingest(FileDataset(path, other, formatter="yamml"), transfer="copy")


def test_ingest_registers_runs_that_do_not_exist(place: Place, butler: Butler, tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", {})
    before = butler.version
    butler.ingest(FileDataset(path, ref_to(butler, run="u/fresh/run")), transfer="copy")
    assert butler.version == before + 1
    assert butler.collections.get_info("u/fresh/run").type.name == "RUN"


def test_a_batch_is_one_commit(place: Place, butler: Butler, tmp_path: Path) -> None:
    files = [
        FileDataset(
            write_json(tmp_path / f"{e}-{d}.json", {"e": e, "d": d}), ref_to(butler, exposure=e, detector=d)
        )
        for e in (101, 102, 201)
        for d in range(4)
    ]
    before = butler.version
    butler.ingest(*files, transfer="copy")
    assert butler.version == before + 1
    assert len(butler.query_datasets("note")) == 12
    assert butler.get("note", note_id(201, 3)) == {"e": 201, "d": 3}


def test_an_ingest_of_nothing_is_nothing(place: Place, butler: Butler) -> None:
    before = place.tree()
    butler.ingest(transfer="copy")
    assert place.tree() == before


def test_a_dataset_registered_before_gets_its_file(place: Place, butler: Butler, tmp_path: Path) -> None:
    ids = [note_id(detector=d) for d in range(3)]
    refs = butler.registry.insertDatasets("note", ids, run="u/test")
    assert not any(butler.exists(ref) for ref in refs)
    with pytest.raises(DatasetNotFoundError, match="no file"):
        butler.get(refs[0])
    butler.put({"put": 1}, refs[0])
    path = write_json(tmp_path / "a.json", {"ingested": 1})
    butler.ingest(FileDataset(path, refs[1]), transfer="copy")
    assert butler.get(refs[0]) == {"put": 1}
    assert butler.get(refs[1]) == {"ingested": 1}
    assert [bool(butler.exists(ref)) for ref in refs] == [True, True, False]
    assert len(butler.query_datasets("note")) == 3
    with refused(place, butler, ConflictingDefinitionError, "already"):
        butler.put({}, refs[0])
    with refused(place, butler, ConflictingDefinitionError, "note"):
        butler.put({}, "note", ids[2])


# --------------------------------------------------------------- skip_existing


def test_what_is_there_already_is_passed_over_when_asked(
    place: Place, butler: Butler, tmp_path: Path
) -> None:
    one = write_json(tmp_path / "1.json", {"n": 1})
    two = write_json(tmp_path / "2.json", {"n": 2})
    first, second = ref_to(butler), ref_to(butler, detector=1)
    butler.ingest(FileDataset(one, first), transfer="copy")
    with refused(place, butler, ConflictingDefinitionError, "skip_existing", "u/test"):
        butler.ingest(FileDataset(one, first), FileDataset(two, second), transfer="copy")
    butler.ingest(FileDataset(one, first), FileDataset(two, second), transfer="copy", skip_existing=True)
    assert butler.get(second) == {"n": 2}
    assert len(place.files()) == 2
    before = place.tree()
    butler.ingest(FileDataset(one, first), FileDataset(two, second), transfer="move", skip_existing=True)
    assert place.tree() == before
    assert one.exists()
    assert two.exists()


def test_of_a_file_with_several_datasets_the_new_ones_go_in(
    place: Place, butler: Butler, tmp_path: Path
) -> None:
    path = write_fits(tmp_path / "mosaic.fits", hdus=3)
    refs = [ref_to(butler, "raw", detector=d) for d in range(3)]
    butler.ingest(FileDataset(path, refs[:1]), transfer="copy")
    butler.ingest(FileDataset(path, refs), transfer="copy", skip_existing=True)
    assert all(butler.exists(ref) for ref in refs)
    assert butler.getURI(refs[1]) == butler.getURI(refs[2]) != butler.getURI(refs[0])


def test_another_dataset_with_the_same_data_id_is_never_passed_over(
    place: Place, butler: Butler, tmp_path: Path
) -> None:
    path = write_json(tmp_path / "1.json", {"n": 1})
    butler.put({"n": 0}, "note", note_id())
    with refused(place, butler, ConflictingDefinitionError, "note", "u/test"):
        butler.ingest(FileDataset(path, ref_to(butler)), transfer="move", skip_existing=True)
    assert path.exists()
    assert butler.get("note", note_id()) == {"n": 0}


def test_a_race_that_is_lost_while_skipping_leaves_no_file_behind(
    place: Place, butler: Butler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process ingests the same file after we looked and before we commit."""
    path, other_path = (write_json(tmp_path / f"{n}.json", {"n": n}) for n in (1, 2))
    fresh = write_json(tmp_path / "3.json", {"n": 3})
    with place.open(run="u/test") as other:
        bring = butler._datastore.ingest

        def slow(files: Any, transfer: Any) -> Any:
            done = bring(files, transfer)
            other.ingest(FileDataset(other_path, ref_to(other)), transfer="copy")
            return done

        monkeypatch.setattr(butler._datastore, "ingest", slow)
        butler.ingest(
            FileDataset(path, ref_to(butler)),
            FileDataset(fresh, ref_to(butler, detector=1)),
            transfer="copy" if place.remote else "move",
            skip_existing=True,
        )
    assert butler.get("note", note_id()) == {"n": 2}
    assert butler.get("note", note_id(detector=1)) == {"n": 3}
    assert len(place.files()) == 2
    assert path.exists()
    assert fresh.exists() == place.remote


# ---------------------------------------------------------------------- failing


def bad_batches(
    butler: Butler, tmp_path: Path
) -> dict[str, tuple[Any, type[BaseException], tuple[str, ...]]]:
    """Batches whose first file is good and whose second is not."""
    second = write_json(tmp_path / "2.json", {"n": 2})
    other = DatasetRef(dataset_type(butler, "note"), note_id(102), run="u/test")
    bad_type = DatasetType("note", other.datasetType.dimensions, "Text")
    unknown = DatasetType("no_such", other.datasetType.dimensions, "StructuredDataDict")
    header = DatasetRef(dataset_type(butler, "raw"), note_id(102), run="u/test").makeComponentRef("header")
    butler.registry.registerCollection("tag")
    return {
        "missing": (FileDataset(tmp_path / "none.json", other), DatasetNotFoundError, ("none.json",)),
        "directory": (FileDataset(tmp_path, other), StorageError, (str(tmp_path), "file")),
        "dangling": (FileDataset(dangling(tmp_path), other), DatasetNotFoundError, ("dangling.json",)),
        "pipe": (FileDataset(pipe(tmp_path), other), StorageError, ("pipe.json",)),
        "data ID": (FileDataset(second, ref_to(butler, exposure=999)), DataIdValueError, ("999", "101")),
        "twice": (FileDataset(second, ref_to(butler)), ConflictingDefinitionError, ("twice", "once")),
        "unregistered": (
            FileDataset(second, DatasetRef(unknown, note_id(102), run="u/test")),
            MissingDatasetTypeError,
            ("no_such",),
        ),
        "storage class": (
            FileDataset(second, DatasetRef(bad_type, note_id(102), run="u/test")),
            DatasetTypeError,
            ("note", "Text"),
        ),
        "component": (FileDataset(second, header), DatasetTypeError, ("raw.header",)),
        "run name": (
            FileDataset(second, ref_to(butler, run="../up", exposure=102)),
            CollectionNameError,
            ("..",),
        ),
        "tag": (
            FileDataset(second, ref_to(butler, run="tag", exposure=102)),
            CollectionTypeError,
            ("tag", "TAGGED"),
        ),
        "no FileDataset": (str(second), DatasetTypeError, ("FileDataset", "str")),
    }


def dangling(folder: Path) -> Path:
    path = folder / "dangling.json"
    path.symlink_to(folder / "nothing")
    return path


def pipe(folder: Path) -> Path:
    path = folder / "pipe.json"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("mode", ["copy", "move", "direct", "symlink"])
def test_a_batch_with_one_bad_file_leaves_no_trace(
    place: Place, butler: Butler, tmp_path: Path, mode: str
) -> None:
    if place.remote and mode == "symlink":
        return
    first = write_json(tmp_path / "1.json", {"n": 1})
    good = FileDataset(first, ref_to(butler))
    for bad, error, words in bad_batches(butler, tmp_path).values():
        with refused(place, butler, error, *words):
            butler.ingest(good, bad, transfer=mode)
        assert first.exists()
    butler.ingest(good, transfer=mode)
    assert butler.get("note", note_id()) == {"n": 1}


def test_an_unknown_mode_is_named(place: Place, butler: Butler, tmp_path: Path) -> None:
    good = FileDataset(write_json(tmp_path / "1.json", {}), ref_to(butler))
    with refused(place, butler, StorageError, "mvoe", "'move'"):
        butler.ingest(good, transfer="mvoe")
    with refused(place, butler, StorageError, "1.json", "transfer="):
        butler.ingest(good, transfer=None)


def test_a_cut_fits_file_goes_in_as_it_is_and_is_named_when_it_is_read(
    place: Place, butler: Butler, tmp_path: Path
) -> None:
    path = write_fits(tmp_path / "raw.fits")
    path.write_bytes(path.read_bytes()[:3000])
    ref = ref_to(butler, "raw")
    butler.ingest(FileDataset(path, ref), transfer="copy")
    with pytest.raises(FileFormatError) as caught:
        butler.get(ref)
    check_message(caught.value, "raw", str(ref.id))
    assert butler.get(ref, storageClass="Bytes") == path.read_bytes()


def test_a_failing_read_only_store_changes_nothing(place: Place, butler: Butler, tmp_path: Path) -> None:
    """The commit is refused after the files were brought in: they go again."""
    first = write_json(tmp_path / "1.json", {"n": 1})

    def refuse(*_: Any, **__: Any) -> None:
        raise StorageError("no room for the log")

    storage = butler._session.lake.storage
    before = place.tree()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "create", refuse)
        for mode in ("copy", "move"):
            with pytest.raises(StorageError, match="no room"):
                butler.ingest(FileDataset(first, ref_to(butler)), transfer=mode)
        with pytest.raises(StorageError, match="no room"):
            butler.put({}, "note", note_id(102))
    assert place.tree() == before
    assert first.exists()
    butler.ingest(FileDataset(first, ref_to(butler)), transfer="move")
    assert not first.exists()


# --------------------------------------------------------------------- outside


def test_files_outside_are_read_only_by_who_ingested_them_or_says_so(
    place: Place, butler: Butler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "archive" / "night 1"
    source = write_json(folder / "a.json", {"a": 1})
    ref = ref_to(butler)
    butler.ingest(FileDataset(source, ref), transfer="direct")
    assert butler.get(ref) == {"a": 1}
    monkeypatch.setenv("LAKEBUTLER_CONFIG_DIR", str(tmp_path / "somebody else"))
    with place.open(collections="u/test") as stranger:
        with pytest.raises(ExternalFileError) as caught:
            stranger.get(ref)
        check_message(caught.value, source.as_uri(), "allow_external")
        assert not stranger.exists(ref)
    for allowed in (True, [str(folder)], str(folder), [tmp_path.as_uri()]):
        with place.open(collections="u/test", allow_external=allowed) as stranger:
            assert stranger.get(ref) == {"a": 1}
    for denied in (False, [], [str(tmp_path / "arch")], [str(folder / "a.json" / "x")]):
        with (
            place.open(collections="u/test", allow_external=denied) as stranger,
            pytest.raises(ExternalFileError),
        ):
            stranger.get(ref)


def test_an_external_file_that_changed_or_went_is_named(place: Place, butler: Butler, tmp_path: Path) -> None:
    source = write_json(tmp_path / "in" / "a.json", {"a": 1})
    ref = ref_to(butler)
    butler.ingest(FileDataset(source, ref), transfer="direct")
    source.write_text('{"a": 12345}')
    with pytest.raises(FileIntegrityError, match="size"):
        butler.get(ref)
    source.unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.json"):
        butler.get(ref)
    assert not butler.exists(ref)
    assert not butler.stored(ref)


def test_a_link_out_of_the_repository_is_read_only_where_that_is_allowed(
    local: Place, local_butler: Butler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_json(tmp_path / "in" / "a.json", {"a": 1})
    ref = ref_to(local_butler)
    local_butler.ingest(FileDataset(source, ref), transfer="symlink")
    assert local_butler.get(ref) == {"a": 1}
    monkeypatch.setenv("LAKEBUTLER_CONFIG_DIR", str(tmp_path / "somebody else"))
    with local.open(collections="u/test") as stranger, pytest.raises(ExternalFileError):
        stranger.get(ref)
