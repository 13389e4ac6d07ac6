# SPDX-License-Identifier: BSD-3-Clause
"""Files that exist become datasets: every transfer mode, and what is left when it fails."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.file_dataset import FileDataset
from lakebutler.datastore import ingest as ingesting
from lakebutler.datastore import local
from lakebutler.datastore.datastore import Datastore
from lakebutler.datastore.files import CHUNK, checksum_of
from lakebutler.datastore.transfer import MODES
from lakebutler.errors import (
    DatasetNotFoundError,
    ExternalFileError,
    FileFormatError,
    FileIntegrityError,
    NameRuleError,
    StorageError,
)

Make = Callable[..., DatasetRef]
Tree = Callable[[Path], dict[str, Any]]

COPIES = ("auto", "copy", "move")
LINKS = ("link", "hardlink", "symlink", "relsymlink")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    place = tmp_path / "some where"
    place.mkdir()
    return place


@pytest.fixture
def sources(outside: Path) -> list[Path]:
    files = [outside / f"file{n}.json" for n in range(3)]
    for n, file in enumerate(files):
        file.write_text(f'{{"n":{n}}}')
    return files


def files_of(sources: list[Path], ref: Make) -> list[FileDataset]:
    return [FileDataset(str(path), ref(n)) for n, path in enumerate(sources)]


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in {"direct", "split"}])
def test_a_file_comes_into_the_repository(
    datastore: Datastore, root: Path, sources: list[Path], ref: Make, mode: str
) -> None:
    done = datastore.ingest(files_of(sources, ref), mode)
    datastore.sync(done.written)
    datastore.finish(done.moves)
    assert done.written == [record.path for record in done.records]
    if mode.endswith("symlink"):
        with pytest.raises(ExternalFileError, match="allow_external"):
            datastore.get(ref(0), done.records[0])
        datastore.allow_external([str(sources[0].parent)])
    for n, record in enumerate(done.records):
        assert record.formatter == "json"
        assert record.storage_class == "StructuredDataDict"
        assert record.uri is None
        assert datastore.get(ref(n), record) == {"n": n}
        assert datastore.exists(record)
        assert sources[n].exists() is (mode != "move")
        place = root / (record.path or "")
        assert place.is_symlink() is mode.endswith("symlink")
        if mode in COPIES:
            assert record.checksum == checksum_of(place.read_bytes())
        else:
            assert record.checksum is None
            assert place.samefile(sources[n])
        if mode == "relsymlink":
            assert not os.path.isabs(place.readlink())
    datastore.remove(done.records)
    assert [p for p in root.rglob("*") if not p.is_dir()] == []
    assert all(source.exists() for source in sources) is (mode != "move")


def test_direct_leaves_files_where_they_are(
    datastore: Datastore, root: Path, sources: list[Path], ref: Make
) -> None:
    done = datastore.ingest(files_of(sources, ref), "direct")
    assert done.written == []
    assert list(root.iterdir()) == []
    assert done.records[1].uri == "file://" + str(sources[1]).replace(" ", "%20")
    assert done.records[1].size == 7
    datastore.allow_external([str(sources[0].parent)])
    assert datastore.get(ref(1), done.records[1]) == {"n": 1}
    sources[1].write_text('{"n":123}')
    with pytest.raises(FileIntegrityError, match="expected 7 bytes, found 9"):
        datastore.get(ref(1), done.records[1])


def test_many_simple_paths_give_the_same_as_each_alone(
    datastore: Datastore, tmp_path: Path, ref: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, odd = tmp_path / "plain", tmp_path / "o dd"
    files = []
    for n in range(25):
        place = (odd if n % 10 == 3 else plain) / f"f.{n}.{'json' if n % 2 else 'yaml'}"
        place.parent.mkdir(exist_ok=True)
        place.write_text("{}" * (n + 1))
        files.append(FileDataset(str(place), ref(n), formatter="text" if n % 7 == 0 else None))
    together = datastore.ingest(files, "direct").records
    monkeypatch.setattr(ingesting, "_BATCH", 4)
    in_batches = datastore.ingest(files, "direct").records
    alone = [datastore.ingest([file], "direct").records[0] for file in files]
    monkeypatch.setattr(ingesting, "_all_simple", lambda paths: False)
    slowly = datastore.ingest(files, "direct").records
    assert together == in_batches == alone == slowly
    assert [r.formatter for r in together[:4]] == ["text", "json", "yaml", "json"]
    assert together[3].uri == "file://" + str(odd / "f.3.json").replace(" ", "%20")


@pytest.mark.parametrize(
    "paths",
    [
        ["/a b"], ["a"], ["/a/../b"], ["/a//b"], ["/a/."], ["/a/"], ["/a", "b"], ["/a\n/b"], ["/a%20b"],
        ["/ä"],
        ["/a?b"], ["/a#b"], [Path("/a")], ["file:///a"],
    ],
)  # fmt: skip
def test_a_path_that_needs_care_is_not_simple(paths: list[Any]) -> None:
    assert ingesting._all_simple(["/plain/x.fits", "/plain/y.fits"])
    assert not ingesting._all_simple(["/plain/x.fits", *paths])
    assert not ingesting._all_simple([*paths, "/plain/x.fits"])


@pytest.mark.parametrize("mode", [None, "in place", "auto", "split"])
def test_a_file_inside_stays_in_place(datastore: Datastore, root: Path, ref: Make, mode: str | None) -> None:
    (root / "raws").mkdir()
    (root / "raws" / "x 1.json").write_text("{}")
    for given in (str(root / "raws" / "x 1.json"), "raws/x 1.json", (root / "raws" / "x 1.json").as_uri()):
        done = datastore.ingest([FileDataset(given, ref())], mode)
        assert done.records[0].path == "raws/x 1.json"
        assert done.written == []
        assert datastore.get(ref(), done.records[0]) == {}


def test_in_place_needs_a_file_inside(
    datastore: Datastore, root: Path, sources: list[Path], ref: Make
) -> None:
    with pytest.raises(StorageError, match="does not lie in the repository"):
        datastore.ingest([FileDataset(str(sources[0]), ref())], None)
    with pytest.raises(DatasetNotFoundError, match=r"raws/x\.json"):
        datastore.ingest([FileDataset(str(root / "raws/x.json"), ref())], None)
    (root / "registry").mkdir()
    (root / "registry" / "format.json").write_text("{}")
    with pytest.raises(NameRuleError, match="registry"):
        datastore.ingest([FileDataset(str(root / "registry/format.json"), ref())], None)
    (root / "link").symlink_to(sources[0].parent)
    with pytest.raises(ExternalFileError):
        datastore.ingest([FileDataset(str(root / "link/file0.json"), ref())], None)


def test_split_takes_each_file_as_it_lies(
    datastore: Datastore, root: Path, sources: list[Path], ref: Make
) -> None:
    (root / "inside.json").write_text("{}")
    files = [FileDataset(str(root / "inside.json"), ref(0)), FileDataset(str(sources[0]), ref(1))]
    inside, outside = datastore.ingest(files, "split").records
    assert inside.path == "inside.json"
    assert outside.uri is not None


@pytest.mark.parametrize("mode", [m for m in MODES if m != "direct"])
def test_a_failing_ingest_leaves_nothing(
    datastore: Datastore, root: Path, sources: list[Path], ref: Make, tree: Tree, mode: str
) -> None:
    before = tree(sources[0].parent)
    files = [*files_of(sources, ref), FileDataset(str(sources[0].parent / "absent.json"), ref(9))]
    with pytest.raises(FileNotFoundError, match=r"absent\.json"):
        datastore.ingest(files, mode)
    assert tree(root) == {}
    assert tree(sources[0].parent) == before


@pytest.mark.parametrize("name", ["absent.json", "no\nsuch", "b c/absent", "file0.json/x"])
def test_a_missing_file_is_named_in_the_fast_way_too(
    datastore: Datastore, sources: list[Path], ref: Make, name: str
) -> None:
    path = str(sources[0].parent / name)
    with pytest.raises(FileNotFoundError) as caught:
        datastore.ingest([*files_of(sources, ref), FileDataset(path, ref(9))], "direct")
    assert path in str(caught.value)


def test_a_directory_is_no_file(datastore: Datastore, outside: Path, ref: Make) -> None:
    for mode in ("direct", "copy", "symlink", "split"):
        with pytest.raises(StorageError, match="not a file"):
            datastore.ingest([FileDataset(str(outside), ref())], mode)


def test_a_move_keeps_the_original_until_it_is_finished(
    datastore: Datastore, sources: list[Path], ref: Make, tree: Tree, root: Path
) -> None:
    before = tree(sources[0].parent)
    done = datastore.ingest(files_of(sources, ref), "move")
    assert tree(sources[0].parent) == before
    assert done.moves == [str(path) for path in sources]
    datastore.rollback(done.written)
    assert tree(sources[0].parent) == before
    assert tree(root) == {}
    done = datastore.ingest(files_of(sources, ref), "move")
    datastore.finish(done.moves)
    datastore.finish(done.moves)
    assert tree(sources[0].parent) == {}
    assert datastore.get(ref(2), done.records[2]) == {"n": 2}


def test_a_move_from_another_disk_is_a_copy(
    datastore: Datastore, sources: list[Path], ref: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    done = datastore.ingest(files_of(sources, ref), "move")
    assert done.records[0].checksum == checksum_of(sources[0].read_bytes())
    assert datastore.get(ref(0), done.records[0]) == {"n": 0}
    with pytest.raises(StorageError, match="cross-device") as caught:
        datastore.ingest(files_of(sources, ref), "hardlink")
    assert "copy" in str(caught.value)
    done = datastore.ingest(files_of(sources, ref), "link")
    assert Path(datastore.local_path(done.records[0]) or "").is_symlink()


def test_one_file_can_hold_many_datasets(datastore: Datastore, outside: Path, ref: Make) -> None:
    path = outside / "many.fits.fz"
    chips = [np.full((8, 9), n, "u2") for n in range(3)]
    fits.HDUList(
        [fits.PrimaryHDU(), *(fits.CompImageHDU(c, name=f"N{n}") for n, c in enumerate(chips))]
    ).writeto(path)
    refs = [ref(n, name="raw", storage_class="CCDData") for n in range(3)]
    files = [FileDataset(str(path), [r], formatter=f"fits_image?hdu={n + 1}") for n, r in enumerate(refs)]
    datastore.allow_external([str(outside)])
    for n, record in enumerate(datastore.ingest(files, "direct").records):
        assert (datastore.get(refs[n], record).data == n).all()
    (shared,) = datastore.ingest([FileDataset(str(path), refs)], "copy").records
    assert (shared.path or "").endswith(".fits.fz")
    with pytest.raises(FileFormatError, match="3 images"):
        datastore.get(refs[1], shared)
    assert (datastore.get(refs[1], shared, parameters={"hdu": "N1"}).data == 1).all()


@pytest.mark.parametrize("kind", ["plain", "gz", "fz"])
def test_raw_pixels_are_read_bit_identical(datastore: Datastore, outside: Path, ref: Make, kind: str) -> None:
    pixels = np.random.default_rng(3).integers(0, 65536, (50, 60)).astype(np.uint16)
    path = outside / "raw.fits"
    if kind == "fz":
        path = outside / "raw.fits.fz"
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels)]).writeto(path)
    else:
        fits.PrimaryHDU(pixels).writeto(path)
    if kind == "gz":
        packed = outside / "raw.fits.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        path = packed
    dataset = ref(name="raw", storage_class="CCDData")
    done = datastore.ingest([FileDataset(str(path), dataset)], "copy")
    assert (done.records[0].path or "").endswith(path.name.removeprefix("raw"))
    image = datastore.get(dataset, done.records[0])
    assert image.data.dtype == np.uint16
    assert (image.data == pixels).all()
    assert datastore.get(dataset, done.records[0], storage_class="Bytes") == path.read_bytes()


def test_real_raws_are_read_bit_identical(datastore: Datastore, shared_data: Path, ref: Make) -> None:
    raws = sorted((shared_data / "gen2_obs_test/data/input/raw").glob("*.fits.gz"))
    assert raws
    files = [
        FileDataset(str(path), ref(n, name="raw", storage_class="CCDData")) for n, path in enumerate(raws)
    ]
    datastore.allow_external([str(shared_data)])
    for mode in ("direct", "copy"):
        for file, record in zip(files, datastore.ingest(files, mode).records, strict=True):
            image = datastore.get(file.refs[0], record)
            with fits.open(file.path) as hdus:
                expected = hdus[0].data
                assert image.data.dtype == expected.dtype
                assert (image.data == expected).all()
                assert image.header["TELESCOP" if "TELESCOP" in hdus[0].header else "NAXIS1"]


def test_a_truncated_fits_file_is_an_error_that_names_it(
    datastore: Datastore, outside: Path, ref: Make
) -> None:
    path = outside / "short.fits"
    fits.PrimaryHDU(np.zeros((100, 100), "i2")).writeto(path)
    path.write_bytes(path.read_bytes()[:6000])
    dataset = ref(name="raw", storage_class="CCDData")
    record = datastore.ingest([FileDataset(str(path), dataset)], "copy").records[0]
    with pytest.raises(FileFormatError, match=r"raw\(.*truncated"):
        datastore.get(dataset, record)


@pytest.mark.parametrize(
    ("name", "storage_class", "expected"),
    [
        ("x.json", "StructuredDataDict", "json"),
        ("x.yml", "StructuredDataDict", "yaml"),
        ("x.fits", "AstropyTable", "fits_table"),
        ("x.ecsv", "AstropyTable", "ecsv"),
        ("x.parq", "DataFrame", "parquet"),
        ("x.fits.fz", "Exposure", "fits_image"),
        ("x.yaml", "SomethingUnknown", "yaml"),
        ("x.weird", "SomethingUnknown", "file"),
    ],
)
def test_the_formatter_follows_storage_class_and_name(
    datastore: Datastore, outside: Path, ref: Make, name: str, storage_class: str, expected: str
) -> None:
    (outside / name).write_bytes(b"x")
    record = datastore.ingest(
        [FileDataset(str(outside / name), ref(storage_class=storage_class))], "copy"
    ).records[0]
    assert record.formatter == expected
    assert (record.path or "").endswith(name[1:])


def test_a_formatter_can_be_given(datastore: Datastore, sources: list[Path], ref: Make) -> None:
    for mode in ("direct", "copy"):
        record = datastore.ingest([FileDataset(str(sources[0]), ref(), formatter="yaml")], mode).records[0]
        assert record.formatter == "yaml"
        with pytest.raises(FileFormatError, match="yml"):
            datastore.ingest([FileDataset(str(sources[0]), ref(), formatter="yml")], mode)
        kept = FileDataset(str(sources[0]), ref(), formatter="lsst.x.Formatter")
        assert datastore.ingest([kept], mode).records[0].formatter == "lsst.x.Formatter"


def test_formatters_set_for_a_type_hold_for_ingest(root: Path, sources: list[Path], ref: Make) -> None:
    datastore = Datastore(str(root), config={"formatters": {"thing": "text"}})
    for mode in ("direct", "copy"):
        one, two = datastore.ingest(
            [FileDataset(str(p), ref(name=n)) for p, n in zip(sources, ["thing", "other"], strict=False)],
            mode,
        ).records
        assert (one.formatter, two.formatter) == ("text", "json")


def test_an_unknown_mode_names_the_nearest(datastore: Datastore, sources: list[Path], ref: Make) -> None:
    with pytest.raises(StorageError, match="cpoy") as caught:
        datastore.ingest(files_of(sources, ref), "cpoy")
    assert "'copy'" in str(caught.value)


def test_a_taken_name_is_not_overwritten(
    datastore: Datastore, root: Path, sources: list[Path], ref: Make
) -> None:
    dataset = ref()
    for mode in (*COPIES, *LINKS):
        expected = datastore.predict(dataset)
        (root / expected).parent.mkdir(parents=True, exist_ok=True)
        (root / expected).write_text("an orphan")
        record = datastore.ingest([FileDataset(str(sources[0]), dataset)], mode).records[0]
        assert record.path != expected
        assert (root / expected).read_text() == "an orphan"


def test_a_directory_that_vanishes_is_made_again(datastore: Datastore, root: Path, ref: Make) -> None:
    first = datastore.put({}, ref())
    other = Datastore(str(root))
    other.remove([first])
    assert not (root / "datastore").exists() or list((root / "datastore").iterdir()) == []
    record = datastore.put({"a": 1}, ref(1))
    datastore.sync([record.path or ""])
    assert datastore.get(ref(1), record) == {"a": 1}


# --------------------------------------------------------------------- durability


class Synced:
    """Records what is made durable, and does it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, everything: bool) -> None:
        self.files: list[str] = []
        self.directories: list[str] = []
        self.everything = 0
        files, directories, all_of_it = local.sync_files, local.sync_directories, local.sync_everything

        def sync_files(paths: list[str]) -> None:
            self.files += paths
            files(paths)

        def sync_directories(paths: list[str]) -> None:
            self.directories += paths
            directories(paths)

        def sync_everything(directory: str, count: int) -> bool:
            if not everything:
                return False
            self.everything += 1
            return all_of_it(directory)

        monkeypatch.setattr(local, "sync_files", sync_files)
        monkeypatch.setattr(local, "sync_directories", sync_directories)
        monkeypatch.setattr(local, "sync_everything", sync_everything)


@pytest.mark.parametrize("n", [1, 2, 50])
def test_every_file_and_every_new_directory_is_synced_once(
    datastore: Datastore, root: Path, ref: Make, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    synced = Synced(monkeypatch, everything=False)
    paths = [datastore.put({}, ref(i * 60)).path or "" for i in range(n)]
    datastore.sync(paths)
    assert sorted(synced.files) == sorted(str(root / path) for path in paths)
    above = {parent for path in paths for parent in (root / path).parents if parent.is_relative_to(root)}
    assert sorted(synced.directories) == sorted(str(place) for place in above)
    synced.files.clear()
    synced.directories.clear()
    again = datastore.put({}, ref(1)).path or ""
    datastore.sync([again])
    assert synced.files == [str(root / again)]
    assert synced.directories == [str((root / again).parent)]


def test_a_directory_that_was_made_again_is_synced_again(
    datastore: Datastore, root: Path, ref: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    datastore.sync([datastore.put({}, ref()).path or ""])
    synced = Synced(monkeypatch, everything=False)
    (root / "datastore").rename(root / "old")
    path = datastore.put({}, ref()).path or ""
    datastore.sync([path])
    assert str(root / "datastore") in synced.directories
    assert str(root) in synced.directories


def test_many_files_are_synced_together_where_that_can_be_trusted(
    datastore: Datastore, ref: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = Synced(monkeypatch, everything=True)
    datastore.sync([datastore.put({}, ref(n)).path or "" for n in range(50)])
    assert synced.everything == 1
    assert len(synced.files) in {0, 50}


def test_a_sync_that_fails_is_a_storage_error(
    datastore: Datastore, ref: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    monkeypatch.setattr(local, "sync_everything", lambda directory, count: False)
    for n in (1, 20):
        paths = [datastore.put({}, ref(i)).path or "" for i in range(n)]
        with pytest.raises(StorageError, match="durable"):
            datastore.sync(paths)


@pytest.mark.parametrize("mode", ["auto", "copy"])
def test_small_and_large_files_come_together_in_their_order(
    datastore: Datastore, root: Path, tmp_path: Path, ref: Make, mode: str
) -> None:
    sizes = [3, CHUNK + 1, 0, CHUNK, 2 * CHUNK + 5, 17, CHUNK + 2]
    files = []
    for n, size in enumerate(sizes):
        path = tmp_path / f"part{n}.{'dat' if n % 2 else 'bin'}"
        path.write_bytes(os.urandom(size))
        files.append(FileDataset(str(path), ref(n), formatter="bytes"))
    done = datastore.ingest(files, mode)
    assert sorted(done.written) == sorted(record.path or "" for record in done.records)
    for file, record, size in zip(files, done.records, sizes, strict=True):
        content = Path(str(file.path)).read_bytes()
        assert (root / (record.path or "")).read_bytes() == content
        assert (record.size, record.checksum) == (size, checksum_of(content))
        assert (record.path or "").endswith(Path(str(file.path)).suffix)


@pytest.mark.parametrize("size", [5, CHUNK + 1])
def test_a_missing_file_among_copies_leaves_nothing(
    datastore: Datastore, root: Path, tmp_path: Path, ref: Make, tree: Tree, size: int
) -> None:
    before = tree(root)
    paths = [tmp_path / f"f{n}.bin" for n in range(4)]
    for path in paths[:3]:
        path.write_bytes(bytes(size))
    (tmp_path / "folder.bin").mkdir()
    for last in (paths[3], tmp_path / "folder.bin"):
        given = [
            FileDataset(str(path), ref(n), formatter="bytes") for n, path in enumerate([*paths[:3], last])
        ]
        with pytest.raises(StorageError if last.exists() else DatasetNotFoundError, match=str(last)):
            datastore.ingest(given, "copy")
        assert tree(root) == before


def test_a_file_that_changes_while_it_is_read_is_refused(
    datastore: Datastore, root: Path, tmp_path: Path, ref: Make, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "growing.bin"
    path.write_bytes(b"12345")
    before = tree(root)
    read = os.read

    def slowly(descriptor: int, count: int) -> bytes:
        with path.open("ab") as stream:
            stream.write(b"6")
        return read(descriptor, count)

    monkeypatch.setattr("lakebutler.datastore.transfer.os.read", slowly)
    with pytest.raises(StorageError, match="changed while it was copied"):
        datastore.ingest([FileDataset(str(path), ref(0), formatter="bytes")], "copy")
    monkeypatch.undo()
    assert tree(root) == before
