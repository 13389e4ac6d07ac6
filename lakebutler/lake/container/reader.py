# SPDX-License-Identifier: BSD-3-Clause
"""Reading a lake file: what it holds now, and the members by name."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from zlib import crc32

from lakebutler.errors import NotARepositoryError, RepositoryCorruptError, StorageError
from lakebutler.lake.container.index import Index
from lakebutler.lake.container.layout import (
    BLOCK,
    DELETED,
    END,
    HEAD,
    OWN,
    PEEK,
    SLOTS,
    START,
    Entry,
    Found,
    Run,
    Slot,
    check_header,
    check_name,
    decode_entries,
    encode_entry,
    header_size,
    newest_slots,
    padding,
    parse_header,
)
from lakebutler.lake.container.source import LocalSource, RemoteSource, Source

__all__ = ["ContainerReader", "Publish", "State", "Step", "check_members", "replay", "walk"]

_MOST_MISSING = 10_000
_CHUNK = 1 << 20
_MOST_DELETED = 1 << 26


@dataclass(frozen=True, slots=True)
class State:
    """What a lake file holds.

    Attributes
    ----------
    seq : `int`
        How many publishes there were.
    start, length : `int`
        Where the last one begins, and where the archive ends.
    runs : `tuple` [`Run`]
        Parts of the index, oldest first.
    recent : `dict`
        Entries that are newer than all runs, by path.
    lines : `bytes`
        The same, as a slot has them.
    damage : `str`
        Why it must not be written to; empty if it may.
    missing : `set` [`bytes`]
        Paths that are known not to be there.
    """

    seq: int
    start: int
    length: int
    runs: tuple[Run, ...] = ()
    recent: dict[bytes, Entry] = field(default_factory=dict)
    lines: bytes = b""
    damage: str = ""
    missing: set[bytes] = field(default_factory=set)


class Publish(NamedTuple):
    """One publish, as the archive has it.

    Attributes
    ----------
    seq : `int`
        Its number.
    start, length : `int`
        Where it begins, and where the archive ended with it.
    changes : `list`
        Paths and entries; an offset of 0 where a path was removed.
    """

    seq: int
    start: int
    length: int
    changes: list[tuple[bytes, Entry]]


class ContainerReader:
    """Reads a lake file.

    Parameters
    ----------
    source : `Source`
        Its bytes.

    Notes
    -----
    Nothing is read before the first question.  What others published since is seen at
    each question about a path; content is never changed in place.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.url = source.url
        self._index = Index(self._exactly, source.url)
        self._state: State | None = None
        self._peeked = b""

    # -------------------------------------------------------------------- state

    def state(self) -> State:
        """Return what the file holds now.

        Raises
        ------
        FileNotFoundError
            Raised if there is no such file.
        lakebutler.errors.NotARepositoryError
            Raised if it is no lake file.
        lakebutler.errors.RepositoryCorruptError
            Raised if it is damaged beyond use.
        """
        state = self._state
        if state is not None and not isinstance(self.source, LocalSource):
            return state
        if isinstance(self.source, LocalSource):
            if state is not None and self.source.replaced():
                self.forget()
                state = None
            self.source.open()
            peeked = self._peek()
            if state is not None and peeked == self._peeked:
                return state
            self._peeked = peeked
        self._state = self._load()
        self._index.forget(self._state.runs)
        return self._state

    def _peek(self) -> bytes:
        """Return what differs whenever somebody published."""
        return self.source.read(SLOTS[0], PEEK) + self.source.read(SLOTS[1], PEEK)

    def forget(self) -> None:
        """Open the file anew at the next question."""
        self._state = None
        self._peeked = b""
        self._index.forget(())
        if isinstance(self.source, LocalSource):
            self.source.close()

    def close(self) -> None:
        """Close the file; the next question opens it again."""
        self.forget()

    def _load(self) -> State:
        source = self.source
        if isinstance(source, RemoteSource):
            try:
                head = source.open()
            except FileNotFoundError:
                raise NotARepositoryError(
                    f"{self.url}: there is no such file",
                    hint="a lake file is made on a local disk: lakebutler pack REPO FILE.lake",
                ) from None
        else:
            head = source.read(0, START)
        if not _begins_well(head):
            raise NotARepositoryError(f"{self.url} is not a lakebutler repository: no lake file")
        slots = newest_slots(head, self.url)
        for number, slot in enumerate(slots):
            has = source.reaches(slot.length)
            if has is not None and (slot.settled or isinstance(source, RemoteSource)):
                return self._cut(slot.length, has)
            if has is None and self._is_whole(slot):
                state = self._from_slot(slot)
                newest = number == 0 and len(slots) == len(SLOTS)
                return state if newest else self._go_on(state)
        if isinstance(source, RemoteSource):
            raise RepositoryCorruptError(
                f"the head page of {self.url} is damaged", hint="download the file and open the copy"
            )
        state = self._go_on(State(0, START, START))
        closed = source.read(state.length, len(END)) == END
        return state if closed else replace(state, damage=f"{self.url} is damaged behind byte {state.length}")

    def _from_slot(self, slot: Slot) -> State:
        try:
            recent = dict(decode_entries(slot.recent))
        except ValueError:
            raise RepositoryCorruptError(f"the head page of {self.url} makes no sense") from None
        return State(slot.seq, slot.start, slot.length, slot.runs, recent, slot.recent)

    def _is_whole(self, slot: Slot) -> bool:
        """Whether the last publish reached the disk, where that is not known yet."""
        if slot.settled or isinstance(self.source, RemoteSource):
            return True
        return crc32(self.source.read(slot.start, slot.length - slot.start)) == slot.crc

    def _go_on(self, state: State) -> State:
        """Take in the publishes after a state that are whole; no slot speaks of them."""
        recent, last = dict(state.recent), None
        for last in replay(self.source, state.length, state.seq):
            recent.update(last.changes)
        if last is None:
            return state
        lines = b"".join(encode_entry(path, entry) for path, entry in recent.items())
        return State(last.seq, last.start, last.length, state.runs, recent, lines)

    def _cut(self, length: int, has: int) -> State:
        """Return the last state of which everything is there."""
        short = f"{self.url} is cut short: it has {has} of {length} bytes"
        if isinstance(self.source, RemoteSource):
            raise RepositoryCorruptError(short, hint="copy the file again")
        state = self._go_on(State(0, START, START))
        if not state.seq:
            raise RepositoryCorruptError(f"{short}, and nothing in it is whole", hint="copy the file again")
        return replace(state, damage=short)

    # ------------------------------------------------------------------ members

    def find(self, path: str) -> Entry | None:
        """Return where a member is; `None` if there is none."""
        return self._find(self.state(), path)

    def _find(self, state: State, path: str) -> Entry | None:
        key = path.encode()
        entry = state.recent.get(key)
        if entry is None:
            if key in state.missing:
                return None
            for run in reversed(state.runs):
                entry = self._index.find(run, key)
                if entry is not None:
                    break
        if entry is None or not entry.offset:
            if len(state.missing) < _MOST_MISSING:
                state.missing.add(key)
            return None
        if not START < entry.offset <= state.length - entry.size:
            raise RepositoryCorruptError(f"the index of {self.url} names bytes outside of it for {path}")
        return entry

    def require(self, path: str) -> Entry:
        """Return where a member is.

        Raises
        ------
        FileNotFoundError
            Raised if there is none.
        """
        entry = self.find(path)
        if entry is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        return entry

    def read(self, path: str) -> bytes:
        """Return the content of a member.

        Raises
        ------
        FileNotFoundError
            Raised if there is none.
        lakebutler.errors.RepositoryCorruptError
            Raised if what is there is not this member.
        """
        return self.content([(path, self.require(path))])[0]

    def content(self, members: Sequence[tuple[str, Entry]]) -> list[bytes]:
        """Return the content of members whose places are known."""
        spans = []
        for path, entry in members:
            before = header_size(path, entry.size)
            spans.append((entry.offset - before, before + entry.size))
        out = []
        for (path, entry), (_, size), data in zip(members, spans, self.source.read_many(spans), strict=True):
            self._check(path, entry, data, size)
            out.append(data[size - entry.size :])
        return out

    def chunks(self, path: str, entry: Entry) -> Iterator[bytes]:
        """Yield the content of a large member in parts."""
        before = header_size(path, entry.size)
        self._check(path, entry, self.source.read(entry.offset - before, before), before)
        for done in range(0, entry.size, 16 * _CHUNK):
            yield self._exactly(entry.offset + done, min(16 * _CHUNK, entry.size - done))

    def _check(self, path: str, entry: Entry, data: bytes, size: int) -> None:
        before = header_size(path, entry.size)
        problem = "it is cut short" if len(data) < size else ""
        try:
            if not problem:
                check_header(data[:before], path, entry.size)
        except ValueError as error:
            problem = str(error)
        if problem:
            raise RepositoryCorruptError(
                f"{path} in {self.url} is damaged: {problem}", hint="restore the file from a copy"
            )

    def scan(self, low: str, high: str | None) -> Iterator[tuple[str, Entry]]:
        """Yield the members from one path on and before another, in order."""
        state = self.state()
        first, end = low.encode(), None if high is None else high.encode()
        found: dict[bytes, Entry] = {}
        for run in state.runs:
            found.update(self._index.scan(run, first, end))
        found.update(
            (path, entry)
            for path, entry in state.recent.items()
            if path >= first and (end is None or path < end)
        )
        for path, entry in sorted(found.items()):
            if entry.offset:
                yield self._name(path), entry

    def _name(self, path: bytes) -> str:
        try:
            return check_name(path.decode())
        except ValueError as error:
            raise RepositoryCorruptError(f"the index of {self.url} is damaged: {error}") from None

    def _exactly(self, offset: int, size: int) -> bytes:
        data = self.source.read(offset, size)
        if len(data) != size:
            raise RepositoryCorruptError(f"{self.url} is cut short", hint="copy the file again")
        return data


def _begins_well(head: bytes) -> bool:
    try:
        check_header(head[:BLOCK], HEAD, START - BLOCK)
    except ValueError:
        return False
    return True


# ------------------------------------------------------------------------ replay


class Step(NamedTuple):
    """One member, as the archive has it.

    Attributes
    ----------
    found : `Found`
        What its header says.
    header : `bytes`
        The header.
    start, offset, end : `int`
        Where header, content, and what comes behind begin.
    """

    found: Found
    header: bytes
    start: int
    offset: int
    end: int


def walk(source: Source, position: int) -> Iterator[Step]:
    """Yield the members of an archive in order, up to the first that is not whole.

    Parameters
    ----------
    source : `Source`
        The archive.
    position : `int`
        Where to begin: the end of a member.
    """
    while True:
        try:
            header = source.read(position, BLOCK)
            found = parse_header(header) if len(header) == BLOCK else None
            if isinstance(found, int):
                header = source.read(position, found)
                found = parse_header(header)
            if found is None or isinstance(found, int):
                return
            if not found.path.startswith(OWN):
                check_name(found.path)
        except (ValueError, StorageError):
            return
        offset = position + len(header)
        end = offset + found.size + padding(found.size)
        if source.reaches(end) is not None:
            return
        yield Step(found, header, position, offset, end)
        position = end


def replay(source: Source, position: int, seq: int) -> Iterator[Publish]:
    """Yield the publishes of an archive in order, as its members alone tell.

    Parameters
    ----------
    source : `Source`
        The archive.
    position : `int`
        Where to begin: the end of a publish.
    seq : `int`
        Number of that publish.

    Yields
    ------
    publish : `Publish`
        A whole one; it ends with the first that is not.
    """
    start, crc = position, 0
    changes: list[tuple[bytes, Entry]] = []
    for found, header, _, offset, end in walk(source, position):
        if found.path == DELETED:
            try:
                changes.extend(_deleted(source, offset, found.size))
            except ValueError:
                return
        elif not found.path.startswith(OWN):
            changes.append((found.path.encode(), Entry(offset, found.size, found.mtime)))
        crc = crc32(header if found.mark is None else header[:-BLOCK], crc)
        crc = _checksum(source, offset, end, crc)
        if found.mark is None:
            continue
        if found.mark != ((seq + 1) & 0xFFFFFFFF, crc):
            return
        seq += 1
        yield Publish(seq, start, end, changes)
        start, crc, changes = end, 0, []


def check_members(reader: ContainerReader) -> None:
    """Compare the index of a local lake file with its members.

    Parameters
    ----------
    reader : `ContainerReader`
        The lake file.

    Raises
    ------
    lakebutler.errors.RepositoryCorruptError
        Raised if it is cut short, has a member that no lake file has, or the index
        says anything but the members.
    """
    state = reader.state()
    problem = state.damage
    position, live = START, 0
    hidden: set[bytes] = set()
    for found, _, _, offset, end in walk(reader.source, START):
        if position >= state.length:
            break
        position = end
        if found.path == DELETED:
            hidden.difference_update(path for path, _ in _deleted(reader.source, offset, found.size))
        elif not found.path.startswith(OWN):
            entry = reader.find(found.path)
            live += entry is not None and entry.offset == offset and entry.size == found.size
            if entry is None:
                hidden.add(found.path.encode())
    if position != state.length:
        problem = problem or f"{reader.url} is damaged: what is at byte {position} is not of a lake file"
    if not problem and hidden:
        problem = f"{reader.url} is damaged: its index does not have {min(hidden).decode()}"
    if not problem and live != sum(1 for _ in reader.scan("", None)):
        problem = f"the index of {reader.url} is damaged: it names what is not there"
    if problem:
        raise RepositoryCorruptError(problem, hint="get the file again from where it came")


def _checksum(source: Source, start: int, end: int, crc: int) -> int:
    for offset in range(start, end, _CHUNK):
        crc = crc32(source.read(offset, min(_CHUNK, end - offset)), crc)
    return crc


def _deleted(source: Source, offset: int, size: int) -> Iterable[tuple[bytes, Entry]]:
    if size > _MOST_DELETED:
        raise ValueError("a list of removed files of an impossible size")
    for line in source.read(offset, size).split(b"\n")[:-1]:
        yield check_name(line.decode()).encode(), Entry(0, 0, 0)
