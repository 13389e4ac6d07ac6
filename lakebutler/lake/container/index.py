# SPDX-License-Identifier: BSD-3-Clause
"""The index of a lake file: sorted runs of entries, and when they are merged.

A run is a member of the archive: blocks of compressed lines, then a compressed
directory with the first path, size and checksum of each block.  Runs are merged as in
a log-structured merge tree: eight of one size into one of the next, so that each entry
is written a few times however many there are, and few runs have to be asked.
"""

from __future__ import annotations

import threading
import zlib
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, NoReturn

from lakebutler.errors import RepositoryCorruptError
from lakebutler.lake.container.layout import Entry, Run, decode_entry, encode_entry

__all__ = ["Index", "RunPacker", "merged_tail", "pack_run"]

_BLOCK_ENTRIES = 128
_LEAST = 64
_FAN = 8
_MOST_BLOCK = 1 << 20
_MOST_DIRECTORY = 1 << 28
_KEPT_BLOCKS = 512
_AT_ONCE = 64

Pair = tuple[bytes, Entry]
Block = dict[bytes, bytes]
Read = Callable[[int, int], bytes]


class Directory(NamedTuple):
    """What the directory of a run says.

    Attributes
    ----------
    firsts : `list` [`bytes`]
        First path of each block.
    offsets : `list` [`int`]
        Where each block begins in the archive, and where the last one ends.
    crcs : `list` [`int`]
        CRC-32 of each block as it lies there.
    """

    firsts: list[bytes]
    offsets: list[int]
    crcs: list[int]


class RunPacker:
    """Writes down a run, entry by entry, in the order of the paths."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._lines: list[bytes] = []
        self._held: list[bytes] = []
        self._first = self._lowest = self._last = b""
        self.count = 0

    def add(self, path: bytes, entry: Entry) -> None:
        """Take in an entry; its path comes after those before."""
        if not self._held:
            self._first = path
            if not self._lines:
                self._lowest = path
        self._held.append(encode_entry(path, entry))
        self._last = path
        self.count += 1
        if len(self._held) == _BLOCK_ENTRIES:
            self._close()

    def _close(self) -> None:
        data = zlib.compress(b"".join(self._held), 1)
        self._blocks.append(data)
        self._lines.append(b"%b\t%d\t%08x\n" % (self._first, len(data), zlib.crc32(data)))
        self._held.clear()

    def finish(self) -> tuple[bytes, Run]:
        """Return the content of the member, and what a slot says of it, with the offset 0."""
        if self._held:
            self._close()
        directory = zlib.compress(b"".join(self._lines), 6)
        content = b"".join((*self._blocks, directory))
        crc = zlib.crc32(directory)
        return content, Run(0, len(content), len(directory), crc, self.count, self._lowest, self._last)


def pack_run(pairs: Iterable[Pair]) -> tuple[bytes, Run]:
    """Write down a run; see `RunPacker`.

    Parameters
    ----------
    pairs : iterable
        Paths and entries, in order of the paths, at least one.
    """
    packer = RunPacker()
    for path, entry in pairs:
        packer.add(path, entry)
    return packer.finish()


def merged_tail(runs: Sequence[Run], count: int) -> int:
    """Say how many of the newest runs are to be merged with so many new entries.

    Parameters
    ----------
    runs : sequence of `Run`
        Oldest first.
    count : `int`
        How many entries are new.

    Returns
    -------
    number : `int`
        How many, counted from the end.
    """
    taken = 0
    while True:
        before = taken
        while taken < len(runs) and _level(runs[-1 - taken].entries) < _level(count):
            count += runs[-1 - taken].entries
            taken += 1
        same = 0
        while taken + same < len(runs) and _level(runs[-1 - taken - same].entries) == _level(count):
            same += 1
        if same >= _FAN - 1:
            count += sum(run.entries for run in runs[len(runs) - taken - same : len(runs) - taken])
            taken += same
        if taken == before:
            return taken


def _level(count: int) -> int:
    """Size class of a run: each is eight times the one below."""
    return ((count // _LEAST).bit_length() + 2) // 3


class Index:
    """Reads runs, and keeps what it read of late.

    Parameters
    ----------
    read : callable
        Returns so many bytes of the archive from an offset.
    url : `str`
        The file, for messages.
    """

    def __init__(self, read: Read, url: str) -> None:
        self._read = read
        self._url = url
        self._directories: dict[Run, Directory] = {}
        self._blocks: OrderedDict[tuple[int, int], Block] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, run: Run, path: bytes) -> Entry | None:
        """Return the entry of a path in a run; `None` if it has none."""
        if not run.first <= path <= run.last:
            return None
        directory = self._directory(run)
        number = bisect_right(directory.firsts, path) - 1
        if number < 0:
            return None
        rest = self._block(run, directory, number).get(path)
        if rest is None:
            return None
        try:
            return decode_entry(rest)
        except ValueError:
            self._refuse(run)

    def scan(self, run: Run, low: bytes, high: bytes | None) -> Iterator[Pair]:
        """Yield the entries of a run from one path on and before another, in order."""
        if run.last < low or (high is not None and run.first >= high):
            return
        directory = self._directory(run)
        start = max(bisect_right(directory.firsts, low) - 1, 0)
        end = len(directory.firsts) if high is None else bisect_left(directory.firsts, high)
        for number in range(start, end, _AT_ONCE):
            for block in self._blocks_of(run, directory, number, min(number + _AT_ONCE, end)):
                try:
                    for path, rest in block.items():
                        if path >= low and (high is None or path < high):
                            yield path, decode_entry(rest)
                except ValueError:
                    self._refuse(run)

    def forget(self, runs: Iterable[Run]) -> None:
        """Keep only what belongs to these runs."""
        known = set(runs)
        offsets = {run.offset for run in known}
        with self._lock:
            self._directories = {run: d for run, d in self._directories.items() if run in known}
            for key in [key for key in self._blocks if key[0] not in offsets]:
                del self._blocks[key]

    def _refuse(self, run: Run) -> NoReturn:
        raise RepositoryCorruptError(
            f"the index of {self._url} is damaged (at byte {run.offset})",
            hint="restore the file from a copy; or extract it with tar, which needs no index",
        )

    def _directory(self, run: Run) -> Directory:
        found = self._directories.get(run)
        if found is not None:
            return found
        start = run.offset + run.size - run.directory
        data = self._read(start, run.directory)
        if zlib.crc32(data) != run.crc:
            self._refuse(run)
        firsts, offsets, crcs = [], [run.offset], []
        try:
            for line in _inflate(data, _MOST_DIRECTORY).split(b"\n")[:-1]:
                first, size, crc = line.split(b"\t")
                firsts.append(first)
                offsets.append(offsets[-1] + int(size))
                crcs.append(int(crc, 16))
        except (ValueError, zlib.error):
            self._refuse(run)
        if offsets[-1] != start or offsets != sorted(offsets) or firsts != sorted(firsts):
            self._refuse(run)
        made = Directory(firsts, offsets, crcs)
        with self._lock:
            self._directories[run] = made
        return made

    def _block(self, run: Run, directory: Directory, number: int) -> Block:
        key = (run.offset, number)
        with self._lock:
            found = self._blocks.get(key)
            if found is not None:
                self._blocks.move_to_end(key)
                return found
        start, end = directory.offsets[number : number + 2]
        made = self._unpack(run, directory, number, self._read(start, end - start))
        with self._lock:
            self._blocks[key] = made
            if len(self._blocks) > _KEPT_BLOCKS:
                self._blocks.popitem(last=False)
        return made

    def _blocks_of(self, run: Run, directory: Directory, first: int, end: int) -> Iterator[Block]:
        """Yield adjoining blocks, read at once."""
        if end - first == 1:
            yield self._block(run, directory, first)
            return
        start = directory.offsets[first]
        data = self._read(start, directory.offsets[end] - start)
        for number in range(first, end):
            low, high = directory.offsets[number] - start, directory.offsets[number + 1] - start
            yield self._unpack(run, directory, number, data[low:high])

    def _unpack(self, run: Run, directory: Directory, number: int, data: bytes) -> Block:
        if zlib.crc32(data) != directory.crcs[number]:
            self._refuse(run)
        try:
            lines = _inflate(data, _MOST_BLOCK).split(b"\n")
            return dict([line.split(b"\t", 1) for line in lines[:-1]])
        except (ValueError, zlib.error):
            self._refuse(run)


def _inflate(data: bytes, most: int) -> bytes:
    """Decompress what does not become larger than it may."""
    machine = zlib.decompressobj()
    out = machine.decompress(data, most)
    if machine.unconsumed_tail or not machine.eof:
        raise ValueError("larger than it may be")
    return out
