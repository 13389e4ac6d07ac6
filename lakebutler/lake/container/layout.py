# SPDX-License-Identifier: BSD-3-Clause
"""The single file: a tar archive that grows at its end.  Pure: bytes in, values out.

``formats/single-file.md`` is the specification.  In short: the first member is a head
page with two slots, written in turn; each says how long the archive is and where the
members are.  A publish appends members and then writes the other slot.  The header of
its last member carries a mark with the checksum of the publish, so that the archive
alone, read from its beginning, gives the same state as the slots.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from lakebutler.config import LAKE_FILE_HEAD
from lakebutler.errors import RepositoryCorruptError, RepositoryFormatError
from lakebutler.lake.storage.base import check_path

__all__ = [
    "BLOCK",
    "DELETED",
    "END",
    "INDEX",
    "MARK",
    "OWN",
    "START",
    "Entry",
    "Found",
    "Mark",
    "Run",
    "Slot",
    "check_header",
    "check_name",
    "decode_entries",
    "decode_entry",
    "decode_slot",
    "encode_entry",
    "encode_slot",
    "head_page",
    "header_size",
    "make_header",
    "newest_slots",
    "padding",
    "parse_header",
    "parse_mark",
    "slot_offset",
    "with_mark",
]

BLOCK = 512
"""Tar's unit, in bytes."""

END = bytes(2 * BLOCK)
"""What closes a tar archive."""

OWN = ".lakebutler/"
"""Folder of the members that belong to the container and not to the repository."""

HEAD = LAKE_FILE_HEAD
INDEX = OWN + "index"
DELETED = OWN + "deleted"
MARK = OWN + "mark"

FORMAT = 1
SLOT_SIZE = 16384
SLOTS = (4096, 4096 + SLOT_SIZE)
START = SLOTS[1] + SLOT_SIZE
"""Offset of what comes after the head page."""

PEEK = 40
"""Bytes at the beginning of a slot that differ whenever the slot does."""

SETTLED_AT = 10
"""Where in a slot stands whether it is settled; not part of what its checksum covers."""

SETTLED, UNSETTLED = b"1", b"0"

MAX_PATH = 1024
MAX_SIZE = 1 << 60
_USTAR_LARGEST = 8**11 - 1
_TAR = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12s")
_MARK = struct.Struct(">2sHII")
_MARK_MAGIC = b"LB"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_FIRST_LINE = re.compile(
    rb"lakeslot1 (.) ([0-9a-f]{8}) (\d{5}) (\d{12}) (\d{15}) (\d{15}) ([0-9a-f]{8}) (\d{3})\n", re.DOTALL
)
_FIRST_LENGTH = 85
_TEXT = """\
This is a lakebutler repository in one file: a tar archive.
"tar xf FILE" gives an ordinary repository directory; "lakebutler unpack FILE DIR" does
the same and checks every byte.  The file must only be changed by lakebutler.
"""


class Entry(NamedTuple):
    """Where a member is.

    Attributes
    ----------
    offset : `int`
        Where its content begins, from the beginning of the archive; 0 if it was
        removed.
    size : `int`
        Bytes of its content.
    mtime : `int`
        When it was written, seconds since 1970.
    """

    offset: int
    size: int
    mtime: int


class Run(NamedTuple):
    """Where a sorted part of the index is.

    Attributes
    ----------
    offset, size : `int`
        Where it begins, and how many bytes it has.
    directory : `int`
        How many of these are the directory at its end.
    crc : `int`
        CRC-32 of the directory.
    entries : `int`
        How many paths it has.
    first, last : `bytes`
        No path in it comes before the one or after the other.
    """

    offset: int
    size: int
    directory: int
    crc: int
    entries: int
    first: bytes
    last: bytes


class Slot(NamedTuple):
    """What a slot says.

    Attributes
    ----------
    seq : `int`
        How many publishes there were.
    start : `int`
        Where the last publish begins.
    length : `int`
        Where the archive ends, before the blocks that close it.
    crc : `int`
        CRC-32 of the bytes of the last publish.
    settled : `bool`
        They are known to be durable; otherwise a crash may have lost some.
    runs : `tuple` [`Run`]
        Parts of the index, oldest first.
    recent : `bytes`
        Entries that are newer than all runs, one per line.
    """

    seq: int
    start: int
    length: int
    crc: int = 0
    settled: bool = True
    runs: tuple[Run, ...] = ()
    recent: bytes = b""


class Mark(NamedTuple):
    """What the last header of a publish carries.

    Attributes
    ----------
    seq : `int`
        Number of the publish, its low 32 bits.
    crc : `int`
        CRC-32 of all its bytes but that header.
    """

    seq: int
    crc: int

    def encode(self) -> bytes:
        """Return the twelve bytes that a ustar header has to spare."""
        return _MARK.pack(_MARK_MAGIC, 0, self.crc, self.seq & 0xFFFFFFFF)


class Found(NamedTuple):
    """A header that was read.

    Attributes
    ----------
    path : `str`
        Name of the member.
    size : `int`
        Bytes of its content.
    mtime : `int`
        When it was written.
    mark : `Mark` or `None`
        It ends a publish.
    """

    path: str
    size: int
    mtime: int
    mark: Mark | None


# ------------------------------------------------------------------------- names


def check_name(path: str) -> str:
    """Return the path if a member may have it.

    Raises
    ------
    ValueError
        Raised if it could lead outside, is reserved, or cannot be written down.
    """
    check_path(path)
    if _CONTROL.search(path) or len(path.encode()) > MAX_PATH or path.startswith(OWN):
        raise ValueError(f"{path!r} cannot be the name of a file in a lake file")
    return path


def padding(size: int) -> int:
    """Bytes to the next block after so many."""
    return -size % BLOCK


# ----------------------------------------------------------------------- headers


@lru_cache(maxsize=4096)
def _split(path: str) -> tuple[bytes, bytes] | None:
    """Return name and prefix as ustar has them, or `None` if they do not fit."""
    if not path.isascii():
        return None
    raw = path.encode()
    if len(raw) <= 100:
        return raw, b""
    cut = raw.rfind(b"/", 0, 156)
    return (raw[cut + 1 :], raw[:cut]) if cut > 0 and len(raw) - cut - 1 <= 100 else None


def _records(path: str, size: int, fits: bool) -> bytes:
    """Return the pax records of what ustar cannot say."""
    pairs = [] if fits else [(b"path", path.encode())]
    if size > _USTAR_LARGEST:
        pairs.append((b"size", b"%d" % size))
    out = b""
    for key, value in pairs:
        rest = len(key) + len(value) + 3
        length = rest + len(str(rest))
        length = rest + len(str(length))
        out += b"%d %s=%s\n" % (length, key, value)
    return out


def header_size(path: str, size: int) -> int:
    """Bytes of the header, or headers, of a member."""
    fits = _split(path) is not None
    if fits and size <= _USTAR_LARGEST:
        return BLOCK
    extra = len(_records(path, size, fits))
    return 2 * BLOCK + extra + padding(extra)


_LIKE_ALL = (
    b"0000644\0",
    b"0000000\0",
    b"0000000\0",
    b"        ",
    b"ustar\00000",
    b"0000000\0",
    b"0000000\0",
)
_SUM_OF_ALL = sum(map(sum, _LIKE_ALL))


def _block(name: bytes, prefix: bytes, size: int, mtime: int, kind: bytes, spare: bytes) -> bytes:
    mode, uid, gid, _, magic, major, minor = _LIKE_ALL
    length, time = b"%011o\0" % size, b"%011o\0" % mtime
    total = _SUM_OF_ALL + sum(name) + sum(prefix) + sum(length) + sum(time) + kind[0] + sum(spare)
    return _TAR.pack(
        name, mode, uid, gid, length, time, b"%06o\0 " % total, kind, b"", magic, b"", b"", major, minor,
        prefix, spare,
    )  # fmt: skip


def make_header(path: str, size: int, mtime: int, spare: bytes = b"") -> bytes:
    """Return the header of a regular file.

    Parameters
    ----------
    path : `str`
        Its name.
    size : `int`
        Bytes of its content.
    mtime : `int`
        Seconds since 1970.
    spare : `bytes`, optional
        An encoded `Mark`.
    """
    names = _split(path)
    small = size if size <= _USTAR_LARGEST else 0
    if names is not None and small == size:
        return _block(*names, size, mtime, b"0", spare)
    records = _records(path, size, names is not None)
    stem = path.rpartition("/")[2].encode("ascii", "replace")[:80].replace(b"?", b"_")
    before = _block(b"PaxHeaders/" + stem, b"", len(records), mtime, b"x", b"")
    own = _block(*(names or (stem, b"")), small, mtime, b"0", spare)
    return b"".join((before, records, bytes(padding(len(records))), own))


def with_mark(header: bytes, mark: Mark) -> bytes:
    """Return a header that has no mark yet with one."""
    spare = mark.encode()
    total = int(header[-364:-358], 8) + sum(spare)
    return b"%b%06o%b%b" % (header[:-364], total, header[-358:-12], spare)


def parse_mark(header: bytes) -> Mark | None:
    """Return the mark in a header, if it has one."""
    magic, _, crc, seq = _MARK.unpack(header[-12:])
    return Mark(seq, crc) if magic == _MARK_MAGIC else None


def check_header(header: bytes, path: str, size: int) -> Mark | None:
    """Refuse a header that is not the one that a member of this name and size has.

    Parameters
    ----------
    header : `bytes`
        As many bytes as `header_size` says.
    path : `str`
        Name of the member.
    size : `int`
        Bytes of its content.

    Returns
    -------
    mark : `Mark` or `None`
        It ends a publish.

    Raises
    ------
    ValueError
        Raised if it is another one, or of anything but a regular file.
    """
    mtime = int(header[-376:-365], 8) if len(header) >= BLOCK else -1
    if mtime < 0 or header != make_header(path, size, mtime, header[-12:]):
        raise ValueError("its header is not that of this file")
    return parse_mark(header)


def parse_header(header: bytes) -> Found | int | None:
    """Read the header of any member.

    Parameters
    ----------
    header : `bytes`
        At least a block.

    Returns
    -------
    found : `Found`, `int` or `None`
        `None` for blocks of zeros, which close the archive; if more bytes are
        needed, how many in all.

    Raises
    ------
    ValueError
        Raised if it is no header as this module writes them.
    """
    block = header[:BLOCK]
    if not any(block):
        return None
    if block[156:157] == b"x":
        extra = int(block[124:135], 8)
        if not 0 < extra <= 4 * MAX_PATH:
            raise ValueError("an extended header of an impossible size")
        whole = 2 * BLOCK + extra + padding(extra)
        if len(header) < whole:
            return whole
        records = _parse_records(header[BLOCK : BLOCK + extra])
        own = header[whole - BLOCK : whole]
    else:
        whole, records, own = BLOCK, {}, block
    path = records["path"] if "path" in records else _plain_name(own)
    size = int(records["size"]) if "size" in records else int(own[124:135], 8)
    if not 0 <= size <= MAX_SIZE:
        raise ValueError("a member of an impossible size")
    mark = check_header(header[:whole], path, size)
    return Found(path, size, int(own[136:147], 8), mark)


def _plain_name(block: bytes) -> str:
    name, prefix = block[:100].rstrip(b"\0").decode("ascii"), block[345:500].rstrip(b"\0").decode("ascii")
    return f"{prefix}/{name}" if prefix else name


def _parse_records(data: bytes) -> dict[str, str]:
    found = {}
    while data:
        length = int(data[: data.index(b" ")])
        record = data[data.index(b" ") + 1 : length]
        if length > len(data) or not record.endswith(b"\n"):
            raise ValueError("an extended header that makes no sense")
        key, _, value = record[:-1].decode().partition("=")
        found[key] = value
        data = data[length:]
    return found


# ----------------------------------------------------------------------- entries


def encode_entry(path: bytes, entry: Entry) -> bytes:
    """Return the line of an entry."""
    return b"%b\t%d\t%d\t%d\n" % (path, *entry)


def decode_entries(lines: bytes) -> Iterable[tuple[bytes, Entry]]:
    """Yield the entries of some lines.

    Raises
    ------
    ValueError
        Raised if they make no sense.
    """
    for line in lines.split(b"\n")[:-1]:
        path, _, rest = line.partition(b"\t")
        yield path, decode_entry(rest)


def decode_entry(rest: bytes) -> Entry:
    """Return the entry of a line without its path.

    Raises
    ------
    ValueError
        Raised if it makes no sense.
    """
    offset, size, mtime = rest.split(b"\t")
    return Entry(_number(offset), _number(size), _number(mtime))


def _number(digits: bytes) -> int:
    if len(digits) > 18 or not digits.isdigit():
        raise ValueError("a number that makes no sense")
    return int(digits)


# -------------------------------------------------------------------------- slots


def slot_offset(seq: int) -> int:
    """Where the slot of a publish is."""
    return SLOTS[seq % 2]


def encode_slot(slot: Slot) -> bytes:
    """Return the bytes of a slot.

    Raises
    ------
    OverflowError
        Raised if they do not fit: too many recent entries.
    """
    lines = [
        b"%d\t%d\t%d\t%08x\t%d\t%b\t%b\n" % (*run[:5], run.first[:64], _upper(run.last)) for run in slot.runs
    ]
    body = b"".join(lines) + slot.recent
    size = _FIRST_LENGTH + len(body)
    if size > SLOT_SIZE or len(slot.runs) > 999:
        raise OverflowError("the slot is full")
    numbers = (size, slot.seq, slot.start, slot.length, slot.crc, len(slot.runs))
    rest = b"%05d %012d %015d %015d %08x %03d\n" % numbers
    flag = SETTLED if slot.settled else UNSETTLED
    return b"lakeslot1 %b %08x %b%b" % (flag, crc32(body, crc32(rest)), rest, body)


def _upper(path: bytes) -> bytes:
    return path if len(path) <= 64 else path[:63] + b"\xff"


def decode_slot(data: bytes) -> Slot | None:
    """Return what a slot says, or `None` if it is not whole.

    Parameters
    ----------
    data : `bytes`
        All of the slot's place.
    """
    found = _FIRST_LINE.match(data)
    if found is None:
        return None
    crc, size = int(found[2], 16), int(found[3])
    if size > len(data) or crc32(data[found.end(2) + 1 : size]) != crc:
        return None
    seq, start, length = int(found[4]), int(found[5]), int(found[6])
    lines = data[found.end() : size].split(b"\n", count := int(found[8]))
    if len(lines) <= count or not START <= start <= length:
        return None
    try:
        runs = tuple(_decode_run(line, length) for line in lines[:count])
    except ValueError:
        return None
    return Slot(seq, start, length, int(found[7], 16), found[1] != UNSETTLED, runs, lines[count])


def _decode_run(line: bytes, length: int) -> Run:
    offset, size, directory, crc, count, first, last = line.split(b"\t")
    run = Run(_number(offset), _number(size), _number(directory), int(crc, 16), _number(count), first, last)
    if run.offset < START or run.offset + run.size > length or not 0 < run.directory <= run.size:
        raise ValueError("a run outside of the archive")
    return run


def newest_slots(head: bytes, where: str) -> list[Slot]:
    """Return the whole slots of a head page, the newest first.

    Parameters
    ----------
    head : `bytes`
        The first bytes of the archive.
    where : `str`
        What to call the file in an error.

    Raises
    ------
    lakebutler.errors.RepositoryFormatError
        Raised if the container is of a newer format.
    lakebutler.errors.RepositoryCorruptError
        Raised if the head page is cut short.
    """
    found = re.search(rb"\ncontainer (\d{1,9}) reader (\d{1,9})\n", head[BLOCK : SLOTS[0]])
    if found is not None and int(found[2]) > FORMAT:
        raise RepositoryFormatError(
            f"{where} is a lake file of format {int(found[2])}, this lakebutler reads {FORMAT}",
            hint="upgrade lakebutler",
        )
    if len(head) < START:
        raise RepositoryCorruptError(f"{where} is cut short: it has only {len(head)} bytes")
    slots = [decode_slot(head[place : place + SLOT_SIZE]) for place in SLOTS]
    return sorted((slot for slot in slots if slot is not None), key=lambda slot: -slot.seq)


def head_page(mtime: int) -> bytes:
    """Return the first member of a new archive, with room for the slots."""
    text = f"{_TEXT}\ncontainer {FORMAT} reader {FORMAT}\n".encode()
    header = make_header(HEAD, START - BLOCK, mtime)
    first = encode_slot(Slot(0, START, START))
    return b"".join(
        (header, text.ljust(SLOTS[0] - BLOCK, b"\n"), first.ljust(SLOT_SIZE, b"\0"), bytes(SLOT_SIZE))
    )
