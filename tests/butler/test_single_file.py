# SPDX-License-Identifier: BSD-3-Clause
"""A repository in one file: every verb on it, into it and out of it, from far away, and killed."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import random
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler, DatasetRef, FileDataset
from lakebutler.butler.maintenance.pack import pack, unpack
from lakebutler.errors import (
    ButlerError,
    DatasetNotFoundError,
    FileIntegrityError,
    NotARepositoryError,
    ReadOnlyButlerError,
    RepositoryCorruptError,
    RepositoryExistsError,
    StorageError,
)
from lakebutler.lake.container import writer as container_writer
from lakebutler.lake.container.source import RemoteSource
from lakebutler.lake.storage import open_storage
from lakebutler.lake.storage.file import FileStorage
from lakebutler.progress import CollectingProgress
from tests.butler.conftest import RUN
from tests.butler.lake_file import LakeFile, members
from tests.butler.world import CAM, Place, fill, note_id, refused
from tests.cli.running import call, succeed
from tests.kill.butler_harness import kill_many, prepare
from tests.kill.butler_worker import MODES
from tests.s3server import S3Root, s3_root, s3_server  # noqa: F401


@pytest.fixture
def lake(tmp_path: Path) -> LakeFile:
    return LakeFile(str(tmp_path / "survey.lake"))


@pytest.fixture
def packed(observatory: Path, lake: LakeFile) -> LakeFile:
    """The small observatory in one file."""
    pack(observatory, lake.url)
    return lake


@pytest.fixture
def on_file(packed: LakeFile) -> Iterator[Butler]:
    with packed.open(run=RUN) as butler:
        yield butler


def state(root: str | Path, **options: Any) -> dict[str, Any]:
    """Everything a repository holds: version, root hash, rows and the content of every dataset."""
    with Butler.from_config(root, **options) as butler:
        snapshot = butler._session.snapshot
        found: dict[str, Any] = {"version": snapshot.version, "sha256": snapshot.sha256}
        for table in sorted(snapshot.schemas()):
            rows = snapshot.scan(table).to_pylist()
            found[table] = sorted(map(str, rows))
        for kind in butler.registry.queryDatasetTypes():
            for ref in butler.query_datasets(kind, collections="*", find_first=False, explain=False):
                found[str(ref.id)] = butler.get(ref, storageClass="Bytes")
    return found


def put_notes(butler: Butler, count: int = 4) -> None:
    for number in range(count):
        butler.put({"note": number}, "note", note_id(detector=number))


# ----------------------------------------------------------------- a repository of its own


def test_everything_is_done_in_one_file(lake: LakeFile, tmp_path: Path) -> None:
    lake.make()
    with lake.open(run=RUN) as butler:
        fill(butler)
        ref = butler.put({"a": 1}, "note", note_id())
        with contextlib.suppress(RuntimeError), butler.transaction():
            butler.put({"a": 2}, "note", note_id(detector=1))
            assert butler.get("note", note_id(detector=1)) == {"a": 2}
            raise RuntimeError
        with butler.transaction():
            for detector in (1, 2):
                butler.put({"a": 10 + detector}, "note", note_id(detector=detector))
        source = tmp_path / "given.json"
        source.write_text('{"a": 99}')
        kind = butler.get_dataset_type("note")
        given = DatasetRef(kind, butler.registry.expandDataId(note_id(102, 0)), run=RUN)
        butler.ingest(FileDataset(str(source), [given]), transfer="move")
        assert not source.exists()
        assert os.listdir(tmp_path) == ["survey.lake"]
    with lake.open(collections=RUN) as butler:
        assert butler.get(ref) == {"a": 1}
        assert [butler.get("note", note_id(detector=d))["a"] for d in (1, 2)] == [11, 12]
        assert butler.get("note", note_id(102, 0)) == {"a": 99}
        assert len(butler.query_datasets("note")) == 4
        found = butler.sql("SELECT count(*) AS n FROM dataset_instrument_detector_exposure")
        assert found.fetchall() == [(4,)]
    assert len(lake.files()) == 4
    with lake.open(writeable=True, collections=RUN) as butler:
        butler.registry.removeDatasets([ref])
        assert len(butler.query_datasets("note")) == 3


def test_an_ingest_copies_files_of_any_size(on_file: Butler, packed: LakeFile, tmp_path: Path) -> None:
    kind = on_file.get_dataset_type("label")
    sizes = {"small": 10, "large": 9 << 20}
    refs = {}
    for name, size in sizes.items():
        (tmp_path / f"{name}.txt").write_text("x" * size)
        data_id = on_file.registry.expandDataId(instrument=CAM)
        refs[name] = DatasetRef(kind, data_id, run=f"ingest/{name}")
        on_file.ingest(FileDataset(str(tmp_path / f"{name}.txt"), [refs[name]]), transfer="copy")
    for name, size in sizes.items():
        assert on_file.get(refs[name]) == "x" * size
    path = on_file.get(refs["large"], storageClass="Path")
    assert Path(path).stat().st_size == sizes["large"]
    assert len(packed.files()) == 2


def test_what_needs_a_directory_says_so(on_file: Butler, packed: LakeFile, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    kind = on_file.get_dataset_type("note")
    ref = DatasetRef(kind, on_file.registry.expandDataId(note_id()), run=RUN)
    for mode in ("link", "symlink", "hardlink"):
        with refused(packed, on_file, StorageError, "needs a repository"):
            on_file.ingest(FileDataset(str(tmp_path / "x.json"), [ref]), transfer=mode)


def test_a_file_is_retrieved_and_has_an_address(on_file: Butler, packed: LakeFile, tmp_path: Path) -> None:
    ref = on_file.put({"a": 1}, "note", note_id())
    assert str(on_file.getURI(ref)).startswith(f"file://{packed.url}#member=datastore/")
    (made,) = on_file.retrieveArtifacts([ref], tmp_path / "out")
    assert json.loads(Path(made.ospath).read_text()) == {"a": 1}
    on_file.close()
    result = succeed("retrieve-artifacts", packed.url, tmp_path / "cli", "--collections", RUN)
    assert "1 file of 1 dataset" in result.out


def test_two_butlers_take_turns_and_a_reader_sees_both(packed: LakeFile) -> None:
    with packed.open(run="u/a") as a, packed.open(run="u/b") as b, packed.open() as reader:
        for detector in range(4):
            a.put({"by": "a"}, "note", note_id(detector=detector))
            b.put({"by": "b"}, "note", note_id(detector=detector))
            assert len(reader.query_datasets("note", collections=["u/a", "u/b"], find_first=False)) == 2 * (
                detector + 1
            )


def test_a_writer_that_keeps_others_waiting_is_named(
    packed: LakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_writer, "PATIENCE", 0.1)
    storage = open_storage(packed.url)
    with packed.open(run=RUN) as butler:
        with storage.lock(), refused(packed, butler, StorageError, "is being written to by process"):
            butler.put({"a": 1}, "note", note_id())
        butler.put({"a": 1}, "note", note_id())
        assert butler.get("note", note_id()) == {"a": 1}


def test_opening_for_reading_writes_nothing(packed: LakeFile, tmp_path: Path) -> None:
    before = Path(packed.url).read_bytes(), os.stat(packed.url).st_mtime_ns
    os.chmod(packed.url, 0o444)
    with packed.open() as butler:
        assert butler.query_data_ids("detector")
    assert (Path(packed.url).read_bytes(), os.stat(packed.url).st_mtime_ns) == before
    assert [name for name in os.listdir(tmp_path) if "lake" in name] == ["survey.lake"]


def test_the_command_line_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "my.lake"
    assert "created" in succeed("create", path).out
    assert path.is_file()
    again = call("create", path)
    assert (again.code, again.err.count("\n")) == (3, 2)
    assert "version" in succeed("log", path).out
    assert os.listdir(path.parent) == ["my.lake"]


def test_a_making_that_is_broken_off_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise StorageError("no")

    monkeypatch.setattr("lakebutler.butler.repository.Lake.create", refuse)
    with pytest.raises(StorageError):
        Butler.makeRepo(tmp_path / "my.lake")
    assert os.listdir(tmp_path) == []


# --------------------------------------------------------------------- into it and out of it


def test_a_pack_and_its_unpacking_are_equal_to_what_was_packed(
    butler: Butler, place: Place, tmp_path: Path
) -> None:
    put_notes(butler)
    butler.put({"b": 1}, "bias", instrument=CAM, detector=0)
    butler.close()
    want = state(place.url, storage_options=place.storage_options)
    progress = CollectingProgress()
    done = pack(place.url, tmp_path / "x.lake", storage_options=place.storage_options, progress=progress)
    assert (done.version, done.sha256, done.files) == (want["version"], want["sha256"], 5)
    assert done.bytes == (tmp_path / "x.lake").stat().st_size
    assert [steps for _, steps in progress.stages][1] == 5
    assert state(tmp_path / "x.lake") == want
    folders = [name.partition("/")[0] for name in members(str(tmp_path / "x.lake"))]
    assert folders == sorted(folders, reverse=True)  # the registry comes first
    back = unpack(tmp_path / "x.lake", tmp_path / "back", expect=done.sha256)
    assert back.proved
    assert state(tmp_path / "back") == want
    again = pack(tmp_path / "back", tmp_path / "again.lake", expect=done.sha256.upper())
    assert state(tmp_path / "again.lake") == want
    assert again.proved
    for root in ("x.lake", "back"):
        with Butler(tmp_path / root, run=RUN) as writer:
            writer.put({"b": 2}, "bias", instrument=CAM, detector=1)
            assert writer.version == want["version"] + 1
            assert [entry.version for entry in writer.history()] == list(range(want["version"] + 1, -1, -1))


def test_tar_makes_an_ordinary_repository_of_it(on_file: Butler, packed: LakeFile, tmp_path: Path) -> None:
    put_notes(on_file)
    on_file.close()
    out = tmp_path / "out"
    out.mkdir()
    tar = shutil.which("tar")
    assert tar is not None
    done = subprocess.run([tar, "xf", packed.url, "-C", out], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert state(out) == state(packed.url)
    with Butler(out, run=RUN) as butler:
        butler.put({"b": 2}, "bias", instrument=CAM, detector=1)


def test_a_version_of_the_past_is_packed(on_file: Butler, packed: LakeFile, tmp_path: Path) -> None:
    put_notes(on_file, 2)
    version, want = on_file.version, state(packed.url)
    on_file.put({"later": 1}, "bias", instrument=CAM, detector=3)
    on_file.close()
    done = pack(packed.url, tmp_path / "old.lake", as_of=version)
    assert done.version == version
    assert state(tmp_path / "old.lake") == want


def test_only_the_registry_is_packed_where_that_is_asked(
    on_file: Butler, packed: LakeFile, tmp_path: Path
) -> None:
    put_notes(on_file)
    on_file.close()
    done = pack(packed.url, tmp_path / "registry.lake", registry_only=True)
    assert (done.files, done.left) == (0, 4)
    with Butler(tmp_path / "registry.lake", collections=RUN) as butler:
        assert len(butler.query_datasets("note")) == 4
        with pytest.raises(DatasetNotFoundError, match="is missing"):
            butler.get("note", note_id())
    assert unpack(tmp_path / "registry.lake", tmp_path / "back").left == 4


def test_what_was_removed_and_replaced_is_not_packed_again(
    on_file: Butler, packed: LakeFile, tmp_path: Path
) -> None:
    put_notes(on_file)
    refs = on_file.query_datasets("note")
    on_file.registry.removeDatasets(refs[:3])
    on_file.close()
    assert len(packed.files()) == 1
    done = pack(packed.url, tmp_path / "small.lake")
    assert done.files == 1
    assert (tmp_path / "small.lake").stat().st_size < os.path.getsize(packed.url)
    assert state(tmp_path / "small.lake") == state(packed.url)


def test_nothing_is_overwritten_and_nothing_half_is_left(observatory: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.lake"
    target.write_bytes(b"mine")
    with pytest.raises(RepositoryExistsError, match="not overwritten"):
        pack(observatory, target)
    assert target.read_bytes() == b"mine"
    target.unlink()
    (tmp_path / "dir").mkdir()
    pack(observatory, target)
    with pytest.raises(RepositoryExistsError, match="not overwritten"):
        unpack(target, tmp_path / "dir")
    assert sorted(os.listdir(tmp_path)) == ["dir", "x.lake"]


def test_a_spoilt_or_missing_file_stops_a_pack(local_butler: Butler, local: Place, tmp_path: Path) -> None:
    put_notes(local_butler)
    local_butler.close()
    victim = Path(local.url) / sorted(local.files())[2]
    good = victim.read_bytes()
    victim.write_bytes(bytes(len(good)))
    with pytest.raises(FileIntegrityError, match=re.escape(victim.name)):
        pack(local.url, tmp_path / "x.lake")
    victim.unlink()
    with pytest.raises(DatasetNotFoundError, match=re.escape(victim.name)):
        pack(local.url, tmp_path / "x.lake")
    victim.write_bytes(good)
    data = next(path for path in Path(local.url).glob("registry/data/*/*.parquet"))
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(RepositoryCorruptError, match=re.escape(data.name)):
        pack(local.url, tmp_path / "x.lake")
    assert [name for name in os.listdir(tmp_path) if "lake" in name] == []


def test_another_root_hash_is_refused(packed: LakeFile, tmp_path: Path) -> None:
    want = state(packed.url)["sha256"]
    for action in (pack, unpack):
        with pytest.raises(RepositoryCorruptError, match=f"not what was expected.*{want}"):
            action(packed.url, tmp_path / "out.lake", expect="0" * 64)
    assert not (tmp_path / "out.lake").exists()


def test_the_expected_hash_is_proved_by_the_log_and_not_by_the_checkpoint(
    on_file: Butler, packed: LakeFile, tmp_path: Path
) -> None:
    """A stranger who forges the checkpoint, and seals it, is found out."""
    from lakebutler.lake.naming import seal

    put_notes(on_file, 1)
    on_file._repository.lake.checkpoint()
    on_file.close()
    unpack(packed.url, tmp_path / "dir")
    (checkpoint,) = (tmp_path / "dir/registry/checkpoint").glob("*.json")
    text = checkpoint.read_bytes()[: -len(',"sha256":""}\n') - 64].decode()
    forged = text.replace('"u/test"', '"u/evil"')
    assert forged != text
    checkpoint.write_bytes(seal(forged + "}"))
    root_hash = state(packed.url)["sha256"]
    done = pack(tmp_path / "dir", tmp_path / "proved.lake", expect=root_hash)
    assert done.proved
    assert b"u/evil" not in (tmp_path / "proved.lake").read_bytes()


def test_the_command_line_packs_and_unpacks(on_file: Butler, packed: LakeFile, tmp_path: Path) -> None:
    put_notes(on_file)
    on_file.close()
    result = succeed("pack", packed.url, tmp_path / "x.lake")
    root_hash = re.search(r"root hash: ([0-9a-f]{64})", result.out)
    assert root_hash is not None
    assert "4 files" in result.out
    assert (
        root_hash[1]
        in succeed("-R", tmp_path / "x.lake", "unpack", tmp_path / "d", "--expect", root_hash[1]).out
    )
    assert state(tmp_path / "d") == state(packed.url)
    wrong = call("unpack", tmp_path / "x.lake", tmp_path / "e", "--expect", "ab")
    assert wrong.code == 4
    assert wrong.err.startswith("error: ")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.lake", "empty.lake", "nothing.lake", "cut.lake"])
def test_what_is_no_whole_lake_is_one_clear_line(packed: LakeFile, tmp_path: Path, name: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "file").write_text("x")
    shutil.make_archive(str(tmp_path / "a"), "zip", inner)
    shutil.make_archive(str(tmp_path / "a"), "tar", inner)
    shutil.copy(tmp_path / "a.tar", tmp_path / "a.lake")
    (tmp_path / "empty.lake").write_bytes(b"")
    (tmp_path / "cut.lake").write_bytes(Path(packed.url).read_bytes()[:50_000])
    for verb in (("log",), ("unpack", tmp_path / "out"), ("pack", tmp_path / "out.lake")):
        result = call(verb[0], tmp_path / name, *verb[1:])
        assert result.code in (2, 4)
        assert result.err.startswith(f"error: {tmp_path / name}")
        assert len(result.err.splitlines()) <= 2
    expected = RepositoryCorruptError if name == "cut.lake" else NotARepositoryError
    with pytest.raises(expected):
        Butler(tmp_path / name)


def test_nothing_is_extracted_outside(packed: LakeFile, tmp_path: Path) -> None:
    """A row may name any path; a file is made only below the new directory, from a member of that name."""
    data = Path(packed.url).read_bytes()
    hostile = data.replace(b"registry/views.sql", b"../../../views.sql")
    assert hostile != data
    Path(packed.url).write_bytes(hostile)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(ButlerError):
        unpack(packed.url, tmp_path / "out")
    assert set(tmp_path.rglob("*")) == before


def test_every_flipped_bit_is_noticed_or_changes_nothing(on_file: Butler, packed: LakeFile) -> None:
    put_notes(on_file, 2)
    on_file.close()
    want, data = state(packed.url), Path(packed.url).read_bytes()
    rng = random.Random(5)
    last = data.rindex(b"registry/log/") - 2048
    for place in [*rng.sample(range(len(data)), 20), *rng.sample(range(last, len(data)), 20)]:
        spoilt = bytearray(data)
        spoilt[place] ^= 1 << rng.randrange(8)
        Path(packed.url).write_bytes(spoilt)
        with contextlib.suppress(ButlerError):
            assert state(packed.url) == want


# -------------------------------------------------------------------------------- from far away


@pytest.mark.s3
def test_it_is_read_in_place_with_few_requests(
    on_file: Butler,
    packed: LakeFile,
    tmp_path: Path,
    s3_root: S3Root,  # noqa: F811
) -> None:
    import fsspec

    put_notes(on_file)
    on_file.close()
    pack(packed.url, tmp_path / "x.lake")
    url, options = s3_root.url + "/x.lake", s3_root.storage_options
    filesystem, path = fsspec.core.url_to_fs(url, **options)
    filesystem.put_file(str(tmp_path / "x.lake"), path)
    assert state(url, storage_options=options) == state(packed.url)
    with Butler(url, storage_options=options, collections=RUN) as butler:
        storage = butler._repository.lake.storage
        assert isinstance(storage, FileStorage)
        source = storage.container.source
        assert isinstance(source, RemoteSource)
        assert source.requests <= 3
        before = source.requests
        assert butler.get("note", note_id()) == {"note": 0}
        assert source.requests - before <= 6
    with pytest.raises(ReadOnlyButlerError, match="can only be read"):
        Butler(url, storage_options=options, run="u/x")
    done = unpack(url, tmp_path / "back", storage_options=options)
    assert state(tmp_path / "back") == state(packed.url)
    assert done.files == 4
    with pytest.raises(NotARepositoryError, match="no such file"):
        Butler(s3_root.url + "/none.lake", storage_options=options)
    filesystem.pipe_file(path, (tmp_path / "x.lake").read_bytes()[:-3000])
    with pytest.raises(RepositoryCorruptError, match="cut short"):
        Butler(url, storage_options=options)


class Ranges(http.server.SimpleHTTPRequestHandler):
    """A web server that gives parts of files, or does not."""

    obeys = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        path = Path(self.directory) / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked is None or not self.obeys:
            self.send_response(200)
        else:
            start, end = int(asked[1]), int(asked[2] or len(data) - 1)
            if start >= len(data):
                self.send_error(416)
                return
            whole, data = len(data), data[start : end + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{start + len(data) - 1}/{whole}")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.mark.parametrize("obeys", [True, False])
def test_it_is_read_from_a_web_server_that_gives_ranges(
    on_file: Butler, packed: LakeFile, tmp_path: Path, obeys: bool
) -> None:
    put_notes(on_file)
    on_file.close()
    large = tmp_path / "served" / "x.lake"
    large.parent.mkdir()
    pack(packed.url, large)

    class Handler(Ranges):
        pass

    Handler.obeys = obeys
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *args: Handler(*args, directory=str(large.parent))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/x.lake"
        if obeys:
            assert state(url) == state(packed.url)
            with pytest.raises(NotARepositoryError, match="no such file"):
                Butler(url.replace("x.lake", "y.lake"))
            with pytest.raises(NotARepositoryError, match="no such file"):
                Butler(url.replace("x.lake", "416.lake"))
        else:
            with pytest.raises(StorageError, match="ignores range requests"):
                Butler(url)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# --------------------------------------------------------------------------------------- killed


def test_writers_killed_at_random_lose_nothing(lake: LakeFile) -> None:
    prepare(lake)
    tally = kill_many(lake, [*MODES], seed=4, longest=0.3)
    assert tally.problems == []
    assert tally.acknowledged > 3
    with lake.open(writeable=True) as butler:  # the next writer tidies up behind them
        butler.registry.registerRun("after")
    assert members(lake.url).keys() >= lake.files()
