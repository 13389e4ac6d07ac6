# SPDX-License-Identifier: BSD-3-Clause
"""Making a whole lake file at once, in one publish, however many members it has."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from typing import Self
from zlib import crc32

from lakebutler.errors import RepositoryExistsError, StorageError
from lakebutler.lake.container.index import RunPacker, pack_run
from lakebutler.lake.container.layout import (
    END,
    INDEX,
    MARK,
    START,
    Entry,
    Mark,
    Run,
    Slot,
    check_name,
    encode_entry,
    encode_slot,
    head_page,
    header_size,
    make_header,
    padding,
    slot_offset,
    with_mark,
)
from lakebutler.lake.container.lock import give_name, refuse
from lakebutler.lake.container.publish import member

__all__ = ["ContainerBuilder"]

_BUFFER = 4 << 20
_RECENT = 8192


class ContainerBuilder:
    """Writes a new lake file; it has its name only when it is whole.

    Parameters
    ----------
    path : `str`
        Absolute path of the file to be made.
    private : `bool`, optional
        It is for its owner only.

    Notes
    -----
    A context manager: `finish` is called by the caller, and what was not finished is
    removed.  Members of the registry may come in any order and come first; the many
    that follow `begin_many` come in the order of their names.
    """

    def __init__(self, path: str, *, private: bool = False) -> None:
        self.path = path
        folder, name = os.path.split(path)
        if os.path.lexists(path):
            raise RepositoryExistsError(f"{path} exists; it is not overwritten", hint="choose another name")
        self._temporary = os.path.join(folder, f".{name[:200]}.tmp-{uuid.uuid4().hex}")
        self._mtime = int(time.time())
        self._few: dict[bytes, Entry] = {}
        self._many: RunPacker | None = None
        self._last = b""
        try:
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
            descriptor = os.open(self._temporary, flags, 0o600 if private else 0o666)
            self._file = open(descriptor, "wb", buffering=_BUFFER)  # noqa: SIM115 - closed by __exit__
            self._file.write(head_page(self._mtime))
        except OSError as error:
            refuse("make", path, error)
        self._place, self._crc = START, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError):
            self._file.close()
        with suppress(FileNotFoundError):
            os.unlink(self._temporary)

    def begin_many(self) -> None:
        """Say that members follow in the order of their names (as bytes of UTF-8)."""
        self._many = RunPacker()

    def add(self, path: str, data: bytes) -> None:
        """Add a member."""
        self.add_stream(path, len(data), (data,))

    def add_stream(self, path: str, size: int, parts: Iterable[bytes]) -> None:
        """Add a member without having it in memory.

        Parameters
        ----------
        path : `str`
            Its name.
        size : `int`
            Bytes of its content.
        parts : iterable of `bytes`
            Its content.

        Raises
        ------
        lakebutler.errors.StorageError
            Raised if the content has another size, or there is no room.
        """
        header = make_header(check_name(path), size, self._mtime)
        entry = Entry(self._place + len(header), size, self._mtime)
        self._write(header)
        for part in parts:
            self._write(part)
        if self._place != entry.offset + size:
            raise StorageError(f"{path} changed while it was copied", hint="try again")
        self._write(bytes(padding(size)))
        key = path.encode()
        if self._many is None:
            self._few[key] = entry
            return
        if key <= self._last:
            raise ValueError(f"{path!r} is out of order")
        self._many.add(key, entry)
        self._last = key

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            refuse("write to", self.path, error)
        self._crc = crc32(data, self._crc)
        self._place += len(data)

    def finish(self) -> int:
        """Close the archive, make it durable, and give it its name; return its size in bytes.

        Raises
        ------
        lakebutler.errors.RepositoryExistsError
            Raised if the name was taken meanwhile.
        lakebutler.errors.StorageError
            Raised if there is no room.
        """
        runs, recent, last = self._index()
        before = crc32(last[1] + last[2], self._crc)
        last[0] = with_mark(last[0], Mark(1, before))
        for piece in (*last, END):
            self._write(piece)
        slot = Slot(1, START, self._place - len(END), 0, True, runs, recent)
        try:
            self._file.flush()
            os.fdatasync(self._file.fileno())
            os.pwrite(self._file.fileno(), encode_slot(slot), slot_offset(1))
            os.fsync(self._file.fileno())
        except OSError as error:
            refuse("write to", self.path, error)
        give_name(self._temporary, self.path)
        return self._place

    def _index(self) -> tuple[tuple[Run, ...], bytes, list[bytes]]:
        """Write the index but for its last member; return what the slot says, and that member."""
        few = sorted(self._few.items())
        recent = b"".join(encode_entry(*pair) for pair in few)
        packed = [self._many.finish()] if self._many is not None and self._many.count else []
        if len(recent) > _RECENT:
            packed.append(pack_run(few))
            recent = b""
        runs = []
        pieces = member(MARK, b"", self._mtime)
        for number, (content, run) in enumerate(packed):
            runs.append(run._replace(offset=self._place + header_size(INDEX, len(content))))
            pieces = member(INDEX, content, self._mtime)
            if number < len(packed) - 1:
                for piece in pieces:
                    self._write(piece)
        return tuple(runs), recent, pieces
