# SPDX-License-Identifier: BSD-3-Clause
"""What a publish writes: the members that waited, now and then a part of the index, and the slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

from lakebutler.lake.container.index import Index, merged_tail, pack_run
from lakebutler.lake.container.layout import (
    BLOCK,
    DELETED,
    INDEX,
    MARK,
    SLOT_SIZE,
    Entry,
    Mark,
    Run,
    Slot,
    encode_entry,
    encode_slot,
    header_size,
    make_header,
    padding,
    with_mark,
)
from lakebutler.lake.container.reader import State

__all__ = ["Draft", "Waiting", "compose", "member", "place_members"]

_MOST_RUNS = 64


class Waiting:
    """A member that is not published yet.

    Parameters
    ----------
    data : `bytes` or `None`
        Its content; `None` if it is in the file already.
    entry : `Entry`
        Where it is; an offset of 0 if it is not in the file yet.
    seen : `int`
        Number of the publish at which its name was free; -1 if it may replace another.
    """

    __slots__ = ("data", "entry", "seen")

    def __init__(self, data: bytes | None, entry: Entry, seen: int) -> None:
        self.data = data
        self.entry = entry
        self.seen = seen


class Draft(NamedTuple):
    """A publish that is not written yet.

    Attributes
    ----------
    pieces : `list` [`bytes`]
        What to write behind the end of the archive.
    slot : `Slot`
        What makes it seen.
    after : `State`
        What the file holds then.
    """

    pieces: list[bytes]
    slot: Slot
    after: State


def member(path: str, data: bytes, mtime: int) -> list[bytes]:
    """Return header, content and padding of a member.

    Parameters
    ----------
    path : `str`
        Its name.
    data : `bytes`
        Its content.
    mtime : `int`
        Seconds since 1970.
    """
    return [make_header(path, len(data), mtime), data, bytes(padding(len(data)))]


def place_members(waiting: Mapping[str, Waiting], place: int) -> tuple[list[bytes], int]:
    """Give the members that are in memory their places.

    Parameters
    ----------
    waiting : mapping
        Members by name.
    place : `int`
        Where the first one goes.

    Returns
    -------
    pieces : `list` [`bytes`]
        Their bytes, three for each.
    place : `int`
        Where they end.
    """
    pieces = []
    for name, one in waiting.items():
        if one.data is not None:
            pieces += member(name, one.data, one.entry.mtime)
            offset = place + len(pieces[-3])
            one.entry = one.entry._replace(offset=offset)
            place = offset + len(pieces[-2]) + len(pieces[-1])
    return pieces, place


def compose(
    index: Index,
    state: State,
    waiting: Mapping[str, Waiting],
    removed: Sequence[str],
    tail: tuple[int, int],
    now: int,
) -> Draft:
    """Compose a publish.

    Parameters
    ----------
    index : `Index`
        Reads the runs that are merged.
    state : `State`
        What the file holds.
    waiting : mapping
        Members to be seen, by name.
    removed : sequence of `str`
        Members to be removed.
    tail : `tuple` [`int`, `int`]
        Where what is written already of it ends, and its CRC-32.
    now : `int`
        Seconds since 1970.
    """
    begin, crc = tail
    seq, start = state.seq + 1, state.length
    pieces: list[bytes] = []
    if removed:
        pieces = member(DELETED, b"".join(path.encode() + b"\n" for path in removed), now)
    more, place = place_members(waiting, begin + sum(map(len, pieces)))
    pieces += more
    changes = [(name.encode(), one.entry) for name, one in waiting.items()]
    changes += [(path.encode(), Entry(0, 0, now)) for path in removed]
    recent, runs = {**state.recent, **dict(changes)}, state.runs
    lines = state.lines + b"".join(encode_entry(*pair) for pair in changes)
    if not _fits(Slot(seq, start, place, runs=runs, recent=lines)):
        content, run, kept = _merge(index, runs, recent)
        pieces += member(INDEX, content, now)
        runs = (*kept, run._replace(offset=place + header_size(INDEX, len(content))))
        place += sum(map(len, pieces[-3:]))
        recent, lines = {}, b""
    if not pieces:
        pieces = member(MARK, b"", now)
        place += sum(map(len, pieces))
    for piece in (*pieces[:-3], pieces[-3][:-BLOCK], *pieces[-2:]):
        crc = crc32(piece, crc)
    pieces[-3] = with_mark(pieces[-3], Mark(seq, crc))
    slot = Slot(seq, start, place, runs=runs, recent=lines)
    return Draft(pieces, slot, State(seq, start, place, runs, recent, lines))


def _merge(
    index: Index, runs: tuple[Run, ...], recent: Mapping[bytes, Entry]
) -> tuple[bytes, Run, tuple[Run, ...]]:
    """Return a run of the recent entries and of the runs that are due, and the runs that stay."""
    tail = merged_tail(runs, len(recent)) if len(runs) < _MOST_RUNS else len(runs)
    kept = runs[: len(runs) - tail]
    entries: dict[bytes, Entry] = {}
    for run in runs[len(kept) :]:
        entries.update(index.scan(run, b"", None))
    entries.update(recent)
    pairs = sorted(entries.items())
    if not kept:
        pairs = [pair for pair in pairs if pair[1].offset] or pairs[:1]
    return (*pack_run(pairs), kept)


def _fits(slot: Slot) -> bool:
    try:
        return len(encode_slot(slot)) <= SLOT_SIZE
    except OverflowError:
        return False
