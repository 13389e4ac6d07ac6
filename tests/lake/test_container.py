# SPDX-License-Identifier: BSD-3-Clause
"""The single file: what tar makes of it, what a crash leaves of it, what a stranger may put in it."""

from __future__ import annotations

import errno
import io
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import tarfile
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebutler.errors import (
    NotARepositoryError,
    RepositoryCorruptError,
    RepositoryExistsError,
    RepositoryFormatError,
    StorageError,
    StorageUncertainError,
)
from lakebutler.lake.container import layout as container
from lakebutler.lake.container import lock as container_lock
from lakebutler.lake.container import writer as container_writer
from lakebutler.lake.container.builder import ContainerBuilder
from lakebutler.lake.container.index import Index, merged_tail, pack_run
from lakebutler.lake.container.layout import END, SLOTS, START, Entry, Run, Slot, encode_slot, make_header
from lakebutler.lake.container.reader import ContainerReader, check_members, replay
from lakebutler.lake.container.source import LocalSource
from lakebutler.lake.container.writer import ContainerWriter
from lakebutler.lake.storage import Storage, open_storage
from lakebutler.testing.storage import StorageTests

Contents = dict[str, bytes]


class TestFileStorage(StorageTests):
    @pytest.fixture
    def make_storage(self, tmp_path: Path) -> Callable[[], Storage]:
        return lambda: open_storage(tmp_path / "x.lake")


@pytest.fixture
def lake_file(tmp_path: Path) -> Path:
    return tmp_path / "x.lake"


def publish(path: Path, contents: Contents, *, removed: tuple[str, ...] = ()) -> None:
    writer = ContainerWriter(str(path))
    with writer.exclusive():
        for name, data in contents.items():
            writer.add(name, data, replace=True)
        writer.publish(removed)
    writer.close()


def contents(path: Path) -> Contents:
    """What our reader finds."""
    reader = ContainerReader(LocalSource(str(path)))
    try:
        return {name: reader.read(name) for name, _ in reader.scan("", None)}
    finally:
        reader.close()


def extracted(path: Path) -> Contents:
    """What tar finds: the last member of a name wins."""
    with tarfile.open(path) as archive:
        found = {member.name: archive.extractfile(member) for member in archive}
        return {name: file.read() for name, file in found.items() if file and not name.startswith(".lake")}


# ---------------------------------------------------------------------- an ordinary tar


NAMES = [
    "a",
    "registry/log/00000000000000000001.json",
    "d" * 60 + "/" + "n" * 95,
    "d" * 150 + "/" + "n" * 100,
    "x" * 120,
    "/".join(["deep" * 20] * 10),
    "datastore/Überblick/ß.fits",
    "datastore/日本/望遠鏡.json",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
@pytest.mark.parametrize("size", [0, 1, 512, 1000])
def test_a_header_says_to_others_what_it_says_to_us(name: str, size: int) -> None:
    header = make_header(name, size, 1_700_000_000)
    assert len(header) == container.header_size(name, size)
    archive = io.BytesIO(header + b"x" * size + bytes(container.padding(size)) + END)
    with tarfile.open(fileobj=archive) as opened:
        (member,) = opened.getmembers()
    assert (member.name, member.size, member.mtime, member.isreg()) == (name, size, 1_700_000_000, True)
    found = container.parse_header(header)
    assert found == (name, size, 1_700_000_000, None)


def test_a_member_may_be_larger_than_ustar_can_say() -> None:
    size = 9 << 30
    header = make_header("big", size, 0)
    assert tarfile.TarInfo.frombuf(header[:512], "utf-8", "strict").type == tarfile.XHDTYPE
    found = container.parse_header(header)
    assert isinstance(found, container.Found)
    assert found.size == size
    container.check_header(header, "big", size)


@given(st.text(min_size=1, max_size=300), st.integers(0, 1 << 40), st.integers(0, 1 << 32))
def test_a_header_is_read_back_or_the_name_is_refused(name: str, size: int, mtime: int) -> None:
    try:
        container.check_name(name)
    except ValueError:
        return
    header = make_header(name, size, mtime)
    needed = container.parse_header(header[:512])
    found = container.parse_header(header) if isinstance(needed, int) else needed
    assert found == (name, size, mtime, None)
    marked = container.with_mark(header, container.Mark(7, 0xDEADBEEF))
    again = container.parse_header(marked)
    assert isinstance(again, container.Found)
    assert again.mark == (7, 0xDEADBEEF)


@given(st.binary(min_size=512, max_size=2048))
def test_bytes_that_are_no_header_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # nothing of it passes the checksum
        container.parse_header(b"x" + data)


def test_tar_lists_and_extracts_what_the_storage_holds(lake_file: Path, tmp_path: Path) -> None:
    storage = open_storage(lake_file)
    storage.create("registry/log/0.json", b"zero")
    storage.write("registry/hint", b"old")
    storage.create("registry/log/1.json", b"one" * 1000)
    storage.write("registry/hint", b"new")
    assert extracted(lake_file) == contents(lake_file)
    tar = shutil.which("tar")
    assert tar is not None
    listed = subprocess.run([tar, "tf", lake_file], capture_output=True, text=True, check=True)
    assert listed.stderr == ""
    assert "registry/log/1.json" in listed.stdout.splitlines()
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run([tar, "xf", lake_file, "-C", out], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert (out / "registry/hint").read_bytes() == b"new"
    assert (out / "registry/log/1.json").read_bytes() == b"one" * 1000


# ----------------------------------------------------------------------------- the index


def entries(count: int) -> list[tuple[bytes, Entry]]:
    return [(b"data/%08d" % n, Entry(START + 512 * (n + 1), n % 400, 1)) for n in range(count)]


def index_of(content: bytes) -> Index:
    return Index(lambda offset, size: content[offset - START : offset - START + size], "x.lake")


@pytest.mark.parametrize("count", [1, 127, 128, 129, 1000])
def test_a_run_finds_each_of_its_entries_and_nothing_else(count: int) -> None:
    pairs = entries(count)
    content, run = pack_run(pairs)
    run = run._replace(offset=START)
    index = index_of(content)
    assert all(index.find(run, path) == entry for path, entry in pairs)
    assert index.find(run, b"data/00000000x") is None
    assert index.find(run, b"a") is index.find(run, b"z") is None
    assert list(index.scan(run, b"", None)) == pairs
    low, high = pairs[count // 3][0], pairs[count // 2][0]
    assert list(index.scan(run, low, high)) == pairs[count // 3 : count // 2]


def test_every_flipped_bit_of_a_run_is_noticed_or_changes_nothing() -> None:
    pairs = entries(300)
    content, run = pack_run(pairs)
    run = run._replace(offset=START)
    for place in range(0, len(content), 3):
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << place % 8
        with suppress(RepositoryCorruptError):
            assert list(index_of(bytes(spoilt)).scan(run, b"", None)) == pairs


def test_a_run_that_swells_when_it_is_read_is_refused() -> None:
    bomb = zlib.compress(b"\0" * (64 << 20))
    directory = zlib.compress(b"a\t%d\t%08x\n" % (len(bomb), zlib.crc32(bomb)))
    content = bomb + directory
    run = Run(START, len(content), len(directory), zlib.crc32(directory), 1, b"a", b"b")
    with pytest.raises(RepositoryCorruptError):
        index_of(content).find(run, b"a")


@pytest.mark.parametrize("sizes", [[90], [1, 90, 700, 5], [64, 100_000, 64, 3]])
def test_runs_stay_few_and_are_seldom_rewritten(sizes: list[int]) -> None:
    runs: list[Run] = []
    written = total = 0
    for step in range(5000):
        new = sizes[step % len(sizes)]
        tail = merged_tail(runs, new)
        count = new + sum(run.entries for run in runs[len(runs) - tail :])
        runs = [*runs[: len(runs) - tail], Run(START, 1, 1, 0, count, b"", b"")]
        written, total = written + count, total + new
    assert len(runs) <= 7 * 9
    assert written / total < 10


def test_many_small_steps_give_what_a_dictionary_gives(lake_file: Path) -> None:
    rng = random.Random(1)
    model: Contents = {}
    storage = open_storage(lake_file)
    runs = 0
    for step in range(500):
        path = f"registry/{rng.choice('abc')}/{'long' * 40}{rng.randrange(150):04d}"
        data = rng.randbytes(rng.randrange(50))
        match rng.randrange(5):
            case 0 if path not in model:
                storage.create(path, data)
                model[path] = data
            case 1 if model:
                gone = rng.sample(sorted(model), min(2, len(model)))
                storage.delete(gone)
                for name in gone:
                    del model[name]
            case _:
                storage.write(path, data)
                model[path] = data
        if step % 50 == 0:
            storage.close()
            assert contents(lake_file) == model
        runs = max(runs, len(ContainerReader(LocalSource(str(lake_file))).state().runs))
    assert contents(lake_file) == model
    assert runs >= 2
    for folder in "abc":
        found = [info.path for info in storage.list(f"registry/{folder}/")]
        assert found == sorted(path for path in model if path.startswith(f"registry/{folder}/"))
    check_members(ContainerReader(LocalSource(str(lake_file))))
    replayed: dict[bytes, Entry] = {}
    source = LocalSource(str(lake_file))
    source.open()
    for found_publish in replay(source, START, 0):
        replayed.update(found_publish.changes)
    assert sorted(path.decode() for path, entry in replayed.items() if entry.offset) == sorted(model)


# --------------------------------------------------------------------- crashes and damage


def states_of_a_publish(path: Path) -> tuple[bytes, bytes]:
    """The file before and after one more publish."""
    publish(path, {"registry/a": b"first" * 100})
    publish(path, {"registry/b": b"second" * 300})
    before = path.read_bytes()
    publish(path, {"datastore/c": b"third" * 200, "registry/d": b"fourth"})
    return before, path.read_bytes()


def crashed(before: bytes, after: bytes, data: int, slot: int) -> bytes:
    """What is there if only some of the data and of the slot reached the disk."""
    head = bytearray(after[:START])
    old = before[:START]
    place = next(p for p in SLOTS if after[p : p + 16384] != before[p : p + 16384])
    head[place + container.SETTLED_AT] = ord("0")
    head[place + slot : place + 16384] = old[place + slot : place + 16384]
    body = after[START:data] if data > START else b""
    rest = before[START + len(body) :] if len(before) > START + len(body) else b""
    return bytes(head) + body + rest


def test_after_a_crash_there_is_the_last_version_or_the_one_before(lake_file: Path) -> None:
    before, after = states_of_a_publish(lake_file)
    lake_file.write_bytes(before)
    old = contents(lake_file)
    lake_file.write_bytes(after)
    new = contents(lake_file)
    assert set(new) - set(old) == {"datastore/c", "registry/d"}
    whole = len(after) - len(END)
    seen = set()
    for data in [START, len(before), *range(len(before) - 600, len(after), 97), whole, len(after)]:
        for slot in (0, 5, 50, 100, 250, 16384):
            lake_file.write_bytes(crashed(before, after, data, slot))
            found = contents(lake_file)
            assert found in (old, new)
            if data < whole:
                assert found == old, "not all of it was there"
            elif slot == 16384:
                assert found == new
            seen.add(len(found))
            # The next writer goes on from there, and tar has no complaint.
            publish(lake_file, {"registry/e": b"later"})
            assert contents(lake_file) == {**found, "registry/e": b"later"}
            assert extracted(lake_file) == contents(lake_file)
    assert seen == {len(old), len(new)}


def test_a_slot_without_its_data_is_passed_over(lake_file: Path) -> None:
    """Power was lost after the slot was written and before the data was."""
    before, after = states_of_a_publish(lake_file)
    place = next(p for p in SLOTS if after[p : p + 16384] != before[p : p + 16384])
    torn = bytearray(after)
    torn[place + container.SETTLED_AT] = ord("0")
    hole = len(before) - len(END)
    torn[hole : hole + 512] = bytes(512)
    lake_file.write_bytes(bytes(torn))
    assert set(contents(lake_file)) == {"registry/a", "registry/b"}
    torn[place + container.SETTLED_AT] = ord("1")  # it was known to be durable: this is damage
    lake_file.write_bytes(bytes(torn))
    with pytest.raises(RepositoryCorruptError, match="damaged"):
        contents(lake_file)


@pytest.mark.parametrize("place", SLOTS)
def test_a_spoilt_slot_costs_nothing(lake_file: Path, place: int) -> None:
    _, after = states_of_a_publish(lake_file)
    good = contents(lake_file)
    spoilt = bytearray(after)
    spoilt[place + 60] ^= 1
    lake_file.write_bytes(bytes(spoilt))
    assert contents(lake_file) == good
    spoilt[SLOTS[0] + SLOTS[1] - place + 60] ^= 1  # and now the other one, too
    lake_file.write_bytes(bytes(spoilt))
    assert contents(lake_file) == good
    publish(lake_file, {"registry/z": b"z"})
    assert contents(lake_file) == {**good, "registry/z": b"z"}


def test_a_file_that_is_cut_opens_at_the_last_whole_publish_and_is_not_written_to(lake_file: Path) -> None:
    publish(lake_file, {"registry/a": b"first" * 100})
    first = lake_file.stat().st_size
    publish(lake_file, {"registry/b": b"second" * 300})
    publish(lake_file, {"registry/c": b"third"})
    whole = lake_file.read_bytes()
    for length in range(START, len(whole) - len(END), 211):
        lake_file.write_bytes(whole[:length])
        if length < first - len(END):
            with pytest.raises(RepositoryCorruptError, match="cut short") as caught:
                contents(lake_file)
            assert len(str(caught.value).splitlines()) <= 2
            continue
        found = contents(lake_file)
        assert set(found) in ({"registry/a"}, {"registry/a", "registry/b"})
        with pytest.raises(StorageError, match=r"cut short.*can only be read"):
            open_storage(lake_file).write("registry/x", b"x")
        with pytest.raises(RepositoryCorruptError, match="cut short"):
            check_members(ContainerReader(LocalSource(str(lake_file))))
    lake_file.write_bytes(whole[:1000])
    with pytest.raises(RepositoryCorruptError, match="cut short"):
        contents(lake_file)


def test_a_copy_that_is_made_while_somebody_writes_is_whole(lake_file: Path, tmp_path: Path) -> None:
    """A copy reads the head page first: what it speaks of is in the file by then."""
    storage = open_storage(lake_file)
    storage.create("registry/0", b"0")
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            storage.create(f"registry/{number}", b"%d" % number * 500)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for copy in range(30):
            target = tmp_path / f"{copy}.lake"
            with open(lake_file, "rb") as source, open(target, "wb") as out:
                while part := source.read(10_000):
                    out.write(part)
            found = contents(target)
            assert set(found) == {f"registry/{n}" for n in range(len(found))}
    finally:
        stop.set()
        thread.join()


# ------------------------------------------------------------------------------ strangers


def forged(path: Path, slot: Slot, body: bytes = b"") -> None:
    """A file whose slot says what a stranger wants it to say."""
    head = bytearray(container.head_page(0))
    data = encode_slot(slot)
    head[SLOTS[1] : SLOTS[1] + len(data)] = data
    path.write_bytes(bytes(head) + body + END)


def line(path: str, offset: int, size: int) -> bytes:
    return f"{path}\t{offset}\t{size}\t0\n".encode()


BODY = b"".join((make_header("registry/good", 4, 0), b"good", bytes(508)))
LENGTH = START + len(BODY)
GOOD = START + 512


@pytest.mark.parametrize(
    "recent",
    [
        line("registry/x", LENGTH + 10_000, 4),
        line("registry/x", GOOD, 1 << 50),
        line("registry/x", 100, 4),
        line("registry/x", GOOD, 4),  # bytes of another member
        line("registry/x", GOOD + 1, 3),
        b"registry/x\t1\n",
        b"registry/x\t-5\t4\t0\n",
        b"registry/x\t" + b"9" * 5000 + b"\t4\t0\n",
        line("../../escape", GOOD, 4),
        line("/etc/passwd", GOOD, 4),
        line("registry/a\x1b[2J", GOOD, 4),
        line("registry/..", GOOD, 4),
        line("a\\b", GOOD, 4),
    ],
    ids=range(13),
)
def test_an_index_that_leads_astray_is_refused(lake_file: Path, recent: bytes) -> None:
    forged(lake_file, Slot(1, START, LENGTH, recent=recent), BODY)
    reader = ContainerReader(LocalSource(str(lake_file)))
    with pytest.raises(RepositoryCorruptError) as caught:
        list(map(reader.read, [name for name, _ in reader.scan("", None)]))
    assert len(str(caught.value).splitlines()) <= 2
    with pytest.raises(RepositoryCorruptError):
        check_members(ContainerReader(LocalSource(str(lake_file))))


def hostile_header(**changes: Any) -> bytes:
    info = tarfile.TarInfo("registry/good")
    info.size, info.mode = 4, 0o644
    for name, value in changes.items():
        setattr(info, name, value)
    return info.tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize(
    "header",
    [
        hostile_header(type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0),
        hostile_header(type=tarfile.LNKTYPE, linkname="/etc/passwd", size=0),
        hostile_header(type=tarfile.CHRTYPE, size=0),
        hostile_header(type=tarfile.DIRTYPE, size=0),
        hostile_header(type=tarfile.FIFOTYPE, size=0),
        hostile_header(type=tarfile.GNUTYPE_SPARSE),
        hostile_header(mode=0o4755),
        hostile_header(size=8**11 - 1),
        hostile_header(name="../registry/good"),
        hostile_header(name="/registry/good"),
        bytes(512),
        b"\xff" * 512,
    ],
    ids=range(12),
)
def test_a_member_that_no_lake_file_has_is_refused(lake_file: Path, header: bytes) -> None:
    body = header + b"good" + bytes(508)
    forged(lake_file, Slot(1, START, LENGTH, recent=line("registry/good", GOOD, 4)), body)
    reader = ContainerReader(LocalSource(str(lake_file)))
    with pytest.raises(RepositoryCorruptError):
        reader.read("registry/good")
    with pytest.raises(RepositoryCorruptError):
        check_members(ContainerReader(LocalSource(str(lake_file))))


def test_a_member_that_the_index_does_not_speak_of_is_noticed_by_a_full_check(lake_file: Path) -> None:
    publish(lake_file, {"registry/a": b"a"})
    check_members(ContainerReader(LocalSource(str(lake_file))))
    forged(lake_file, Slot(1, START, LENGTH), BODY)
    reader = ContainerReader(LocalSource(str(lake_file)))
    assert list(reader.scan("", None)) == []
    with pytest.raises(RepositoryCorruptError, match="registry/good"):
        check_members(reader)
    forged(lake_file, Slot(1, START, LENGTH - 512, recent=line("registry/good", GOOD, 4)), BODY)
    with pytest.raises(RepositoryCorruptError):
        check_members(ContainerReader(LocalSource(str(lake_file))))


def test_runs_outside_of_the_file_are_refused(lake_file: Path) -> None:
    for run in (Run(10**12, 10, 5, 0, 1, b"a", b"z"), Run(START, 10**12, 5, 0, 1, b"a", b"z")):
        forged(lake_file, Slot(1, START, LENGTH, runs=(run,)), BODY)
        reader = ContainerReader(LocalSource(str(lake_file)))
        assert list(reader.scan("", None)) == []  # the slot is not believed, and no publish is whole
    forged(lake_file, Slot(1, START, LENGTH, runs=(Run(START, 100, 50, 0, 1, b"a", b"z"),)), BODY)
    with pytest.raises(RepositoryCorruptError, match="index"):
        ContainerReader(LocalSource(str(lake_file))).find("registry/x")


def test_a_newer_container_says_so(lake_file: Path) -> None:
    publish(lake_file, {"registry/a": b"a"})
    data = lake_file.read_bytes().replace(b"\ncontainer 1 reader 1\n", b"\ncontainer 9 reader 7\n")
    lake_file.write_bytes(data)
    with pytest.raises(RepositoryFormatError, match="format 7"):
        contents(lake_file)


def test_what_is_no_lake_file_is_one_clear_line(tmp_path: Path) -> None:
    for name, data in {"empty": b"", "text": b"hello", "zeros": bytes(50_000)}.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(NotARepositoryError, match="no lake file") as caught:
            contents(path)
        assert len(str(caught.value).splitlines()) == 1
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(NotARepositoryError, match="no regular file"):
        contents(tmp_path / "fifo")


def test_names_that_cannot_be_written_down_are_refused(lake_file: Path) -> None:
    writer = ContainerWriter(str(lake_file))
    for name in (".lakebutler/index", "a\nb", "a\tb", "x" * 2000, "../x", "a/\u202eb"):
        with pytest.raises(ValueError):
            writer.add(name, b"x")
    assert not lake_file.exists()


# ------------------------------------------------------------------------- one at a time


def test_a_second_writer_waits_a_little_and_is_told_who_writes(
    lake_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = open_storage(lake_file), open_storage(lake_file)
    first.create("registry/a", b"a")
    monkeypatch.setattr(container_writer, "PATIENCE", 0.1)
    with first.lock():
        begin = time.monotonic()
        with pytest.raises(StorageError, match=f"is being written to by process {os.getpid()}") as caught:
            second.create("registry/b", b"b")
        assert time.monotonic() - begin < 5
        assert len(str(caught.value).splitlines()) == 2
        assert second.read("registry/a") == b"a"  # readers do not wait
    second.create("registry/b", b"b")
    assert first.read("registry/b") == b"b"


def test_a_writer_that_is_killed_lets_go(lake_file: Path) -> None:
    storage = open_storage(lake_file)
    storage.create("registry/a", b"a")
    here, there = multiprocessing.Pipe()
    process = os.fork()
    if process == 0:
        writer = ContainerWriter(str(lake_file))
        with writer.exclusive():
            writer.add("registry/torn", b"x" * 100_000)
            writer.spill()
            there.send("locked")
            time.sleep(60)
        os._exit(1)
    assert here.recv() == "locked"
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    assert storage.read("registry/a") == b"a"
    storage.create("registry/b", b"b")
    assert contents(lake_file) == {"registry/a": b"a", "registry/b": b"b"}
    assert extracted(lake_file) == contents(lake_file)


def test_a_forked_child_has_no_part_in_the_lock_of_its_parent(
    lake_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_writer, "PATIENCE", 0.2)
    storage = open_storage(lake_file)
    storage.create("registry/a", b"a")
    with storage.lock():
        process = os.fork()
        if process == 0:
            try:
                storage.create("registry/child", b"c")
            except StorageError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 7
        storage.create("registry/parent", b"p")
    process = os.fork()
    if process == 0:
        storage.create("registry/child", b"c")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert set(contents(lake_file)) == {"registry/a", "registry/parent", "registry/child"}


def test_a_file_that_was_replaced_or_removed_is_not_written_to_blindly(
    lake_file: Path, tmp_path: Path
) -> None:
    storage = open_storage(lake_file)
    storage.create("registry/a", b"a")
    other = tmp_path / "other.lake"
    publish(other, {"registry/other": b"o"})
    os.replace(other, lake_file)
    storage.create("registry/b", b"b")
    assert contents(lake_file) == {"registry/other": b"o", "registry/b": b"b"}
    lake_file.unlink()
    with pytest.raises(StorageError, match="is gone"):
        storage.create("registry/c", b"c")
    assert not lake_file.exists()


def test_readers_see_every_publish_and_only_whole_ones(lake_file: Path) -> None:
    writer = ContainerWriter(str(lake_file))
    with writer.exclusive():
        writer.add("registry/0/a", b"0")
        writer.add("registry/0/b", b"0")
        writer.publish()
    problems: list[str] = []
    stop = threading.Event()

    def read() -> None:
        reader = ContainerReader(LocalSource(str(lake_file)))
        last = 0
        while not stop.is_set():
            number = last + 1
            first = reader.find(f"registry/{number}/a")
            if first is None:
                continue
            if reader.read(f"registry/{number}/b") != b"%d" % number * 300:
                problems.append("half a publish")
            last = number
        if last < 30:
            problems.append(f"only {last} were seen")

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(1, 120):
        with writer.exclusive():
            writer.add(f"registry/{number}/a", b"%d" % number * 300)
            writer.add(f"registry/{number}/b", b"%d" % number * 300)
            writer.publish()
    time.sleep(0.2)
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == []


# --------------------------------------------------------------------------- what waits


def test_what_waits_is_seen_by_nobody_else_and_leaves_no_trace_when_dropped(
    lake_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_writer, "IN_MEMORY", 1000)
    publish(lake_file, {"registry/a": b"a"})
    before = lake_file.read_bytes()
    writer = ContainerWriter(str(lake_file))
    assert writer.add("datastore/small", b"s" * 100)
    assert lake_file.read_bytes() == before
    assert writer.add("datastore/large", b"l" * 5000)  # too much to wait in memory
    assert writer.read("datastore/large") == b"l" * 5000
    assert set(contents(lake_file)) == {"registry/a"}
    assert not writer.add("datastore/large", b"again")
    writer.drop(["datastore/small", "datastore/large"])
    assert lake_file.read_bytes() == before
    publish(lake_file, {"registry/b": b"b"})  # the lock is free again


def test_what_was_written_early_and_what_waits_in_memory_is_one_publish(
    lake_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_writer, "IN_MEMORY", 1000)
    writer = ContainerWriter(str(lake_file))
    model: Contents = {}
    for number in range(30):
        name, data = f"datastore/{number}", b"%d" % number * 200
        model[name] = data
        assert writer.add(name, data)
    stream = io.BytesIO(b"stream" * 1000)
    digest = writer.add_stream("datastore/stream", stream, 6000)
    assert digest is not None
    model["datastore/stream"] = b"stream" * 1000
    assert writer.add("datastore/dropped", b"d" * 5000)
    writer.drop(["datastore/dropped"])
    with writer.exclusive():
        writer.publish()
    assert contents(lake_file) == model
    source = LocalSource(str(lake_file))
    source.open()
    (found,) = replay(source, START, 0)
    assert {path.decode() for path, entry in dict(found.changes).items() if entry.offset} == set(model)
    check_members(ContainerReader(LocalSource(str(lake_file))))


def test_a_stream_of_another_size_is_not_added(lake_file: Path) -> None:
    publish(lake_file, {"registry/a": b"a"})
    before = lake_file.read_bytes()
    writer = ContainerWriter(str(lake_file))
    for size in (5, 7):
        assert writer.add_stream("datastore/x", io.BytesIO(b"123456"), size) is None
    assert lake_file.read_bytes() == before
    assert writer.find("datastore/x") is None


def test_a_name_that_another_writer_took_meanwhile_is_not_taken_from_it(lake_file: Path) -> None:
    publish(lake_file, {"registry/a": b"a"})
    writer = ContainerWriter(str(lake_file))
    writer.add("datastore/same", b"same")
    publish(lake_file, {"datastore/same": b"same"})
    with writer.exclusive():
        writer.publish()
    writer.remove(["datastore/same"])  # ours gave way: there is nothing of ours to remove
    assert contents(lake_file)["datastore/same"] == b"same"
    writer.add("datastore/other", b"mine")
    publish(lake_file, {"datastore/other": b"theirs"})
    with pytest.raises(StorageError, match=r"made in .* by another writer"), writer.exclusive():
        writer.publish()
    writer.drop(["datastore/other"])
    assert contents(lake_file)["datastore/other"] == b"theirs"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG, errno.EIO])
def test_a_write_that_fails_leaves_everything_as_it_was(
    lake_file: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    storage = open_storage(lake_file)
    storage.create("registry/a", b"a")
    before = lake_file.read_bytes()
    real, calls = os.pwrite, [0]

    def refuse(descriptor: int, data: bytes, place: int) -> int:
        calls[0] += 1
        if calls[0] == 1:
            real(descriptor, bytes(data)[:700], place)
            raise OSError(code, os.strerror(code))
        return real(descriptor, data, place)

    with monkeypatch.context() as patch:
        patch.setattr(container_lock.os, "pwrite", refuse)
        with pytest.raises(StorageError, match=os.strerror(code)) as caught:
            storage.create("registry/b", b"b" * 5000)
    assert not isinstance(caught.value, StorageUncertainError)
    assert len(str(caught.value).splitlines()) <= 2
    assert lake_file.read_bytes() == before
    storage.create("registry/b", b"b")
    assert contents(lake_file) == {"registry/a": b"a", "registry/b": b"b"}


def test_a_disk_that_does_not_confirm_is_reported_as_unsure(
    lake_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage(lake_file)
    storage.create("registry/a", b"a")

    def refuse(self: object) -> None:
        raise OSError(errno.EIO, "bad disk")

    with monkeypatch.context() as patch:
        patch.setattr(container_lock.LockedFile, "sync", refuse)
        with pytest.raises(StorageUncertainError, match="bad disk"):
            storage.create("registry/b", b"b")
    assert storage.read("registry/b") == b"b"
    with pytest.raises(FileExistsError):
        storage.create("registry/b", b"b")


# ---------------------------------------------------------------------------- the builder


@pytest.mark.parametrize(("few", "many"), [(3, 0), (3, 1000), (300, 5)])
def test_what_is_built_at_once_is_found_and_can_be_written_to(lake_file: Path, few: int, many: int) -> None:
    model = {f"registry/{n}": b"%d" % n for n in range(few)}
    with ContainerBuilder(str(lake_file)) as builder:
        for name, data in model.items():
            builder.add(name, data)
        builder.begin_many()
        for n in range(many):
            model[f"datastore/{n:05d}"] = b"data %d" % n
            builder.add(f"datastore/{n:05d}", b"data %d" % n)
        assert not lake_file.exists()
        size = builder.finish()
    assert size == lake_file.stat().st_size
    assert contents(lake_file) == extracted(lake_file) == model
    check_members(ContainerReader(LocalSource(str(lake_file))))
    publish(lake_file, {"registry/new": b"n"}, removed=("registry/1",))
    del model["registry/1"]
    assert contents(lake_file) == {**model, "registry/new": b"n"}
    cut = lake_file.read_bytes()[: size - 2000]
    lake_file.write_bytes(cut)
    with pytest.raises(RepositoryCorruptError, match="cut short"):
        contents(lake_file)


def test_a_build_that_is_broken_off_leaves_nothing(lake_file: Path) -> None:
    with pytest.raises(StorageError), ContainerBuilder(str(lake_file)) as builder:
        builder.add_stream("registry/a", 5, [b"abc"])
    assert list(lake_file.parent.iterdir()) == []
    lake_file.write_bytes(b"mine")
    with pytest.raises(RepositoryExistsError, match="not overwritten"):
        ContainerBuilder(str(lake_file))
    assert lake_file.read_bytes() == b"mine"


def test_the_many_come_in_order(lake_file: Path) -> None:
    with ContainerBuilder(str(lake_file)) as builder:
        builder.begin_many()
        builder.add("datastore/b", b"")
        with pytest.raises(ValueError, match="out of order"):
            builder.add("datastore/a", b"")
