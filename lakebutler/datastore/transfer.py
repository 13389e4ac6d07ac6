# SPDX-License-Identifier: BSD-3-Clause
"""How a local file comes into a repository: copied, linked, or moved.

Each function makes a new file and fails with `FileExistsError` if its name is
taken.  A move leaves the original: it is removed after the commit, so that a crash
in between leaves the original or both, never none.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable

from lakebutler.datastore.files import CHUNK, stream_checksum
from lakebutler.datastore.new_file import new_file, write_all
from lakebutler.errors import DatasetNotFoundError, StorageError, known_names

__all__ = ["LOCAL_ONLY", "MAKERS", "MODES", "check_mode", "read_small", "regular_size"]

MODES = ("auto", "copy", "direct", "hardlink", "link", "move", "relsymlink", "split", "symlink")
"""Transfer modes by name; `None` means that the file stays where it is, inside."""

LOCAL_ONLY = frozenset({"hardlink", "link", "relsymlink", "symlink"})
"""Modes that need both sides on the local disk."""

_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES})

Made = tuple[int, str | None]


def check_mode(mode: str | None) -> str | None:
    """Check a transfer mode.

    Parameters
    ----------
    mode : `str` or `None`
        As given by the caller.

    Returns
    -------
    mode : `str` or `None`
        `None` for files that stay where they are inside the repository.

    Raises
    ------
    StorageError
        Raised if there is no such mode.
    """
    if mode is None or mode in {"in place", "inplace", "in-place", "none"}:
        return None
    if mode not in MODES:
        raise StorageError(f"unknown transfer mode {mode!r}", hint=known_names(mode, MODES, what="modes"))
    return mode


def regular_size(source: str) -> int:
    """Size of a local file that is to be ingested.

    Parameters
    ----------
    source : `str`
        Absolute path.

    Returns
    -------
    size : `int`
        In bytes.

    Raises
    ------
    DatasetNotFoundError
        Raised if there is no such file; it is a `FileNotFoundError`.
    StorageError
        Raised if it cannot be read, or is no regular file.
    """
    try:
        found = os.stat(source)
    except (FileNotFoundError, NotADirectoryError):
        raise DatasetNotFoundError(f"cannot ingest {source}: no such file") from None
    except (OSError, ValueError) as exc:
        raise StorageError(f"cannot ingest {source}: {exc}") from None
    if found.st_mode & 0o170000 != 0o100000:
        raise StorageError(f"cannot ingest {source}: it is not a file")
    return found.st_size


def read_small(source: str) -> bytes | None:
    """Read a file that is to be ingested, if it is small.

    Parameters
    ----------
    source : `str`
        Absolute path.

    Returns
    -------
    data : `bytes` or `None`
        Its content; `None` if it is larger than a chunk.

    Raises
    ------
    DatasetNotFoundError, StorageError
        Raised as by `regular_size`, and if the file changes while it is read.
    """
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as exc:
        regular_size(source)  # says what is wrong, if it can be told without opening it
        raise StorageError(f"cannot ingest {source}: {exc}") from None
    try:
        before = os.fstat(descriptor)
        regular = before.st_mode & 0o170000 == 0o100000
        if regular and before.st_size > CHUNK:
            return None
        data = os.read(descriptor, before.st_size + 1) if regular else b""
        after = os.fstat(descriptor)
    except OSError as exc:
        raise StorageError(f"cannot ingest {source}: {exc}") from None
    finally:
        os.close(descriptor)
    if not regular:
        raise StorageError(f"cannot ingest {source}: it is not a file")
    if len(data) != before.st_size or after.st_mtime_ns != before.st_mtime_ns:
        raise _changed(source)
    return data


def _changed(source: str) -> StorageError:
    return StorageError(f"{source} changed while it was copied", hint="try again")


def _copy(source: str, place: str, mode: int) -> Made:
    digest = hashlib.sha256()
    size = 0
    with open(source, "rb", buffering=0) as stream, new_file(place, mode) as descriptor:
        before = os.fstat(stream.fileno())
        room = min(CHUNK, before.st_size + 1)  # a large buffer takes longer to make than a small file to read
        while part := stream.read(room):
            digest.update(part)
            write_all(descriptor, part)
            size += len(part)
        after = os.fstat(stream.fileno())
        if (before.st_size, before.st_mtime_ns) != (
            after.st_size,
            after.st_mtime_ns,
        ) or size != after.st_size:
            raise _changed(source)
    return size, "sha256:" + digest.hexdigest()


def _hardlink(source: str, place: str, _mode: int) -> Made:
    try:
        os.link(os.path.realpath(source), place)
    except FileExistsError:
        raise
    except OSError as exc:
        if exc.errno in _NO_LINK:
            raise StorageError(
                f"cannot make a hard link to {source}: {exc.strerror}", hint="use transfer='copy' or 'direct'"
            ) from None
        raise
    return os.stat(place).st_size, None


def _symlink(source: str, place: str, _mode: int) -> Made:
    os.symlink(os.path.realpath(source), place)
    return os.stat(place).st_size, None


def _relsymlink(source: str, place: str, _mode: int) -> Made:
    directory = os.path.realpath(os.path.dirname(place))
    os.symlink(os.path.relpath(os.path.realpath(source), directory), place)
    return os.stat(place).st_size, None


def _or(
    first: Callable[[str, str, int], Made], second: Callable[[str, str, int], Made]
) -> Callable[..., Made]:
    def make(source: str, place: str, mode: int) -> Made:
        try:
            return first(source, place, mode)
        except StorageError:
            return second(source, place, mode)

    return make


def _move(source: str, place: str, mode: int) -> Made:
    try:
        os.link(os.path.realpath(source), place)
    except FileExistsError:
        raise
    except OSError as exc:
        if exc.errno not in _NO_LINK:
            raise
        return _copy(source, place, mode)
    try:
        with open(place, "rb", buffering=0) as stream:
            checksum = stream_checksum(stream)
            size = os.fstat(stream.fileno()).st_size
    except BaseException:
        os.unlink(place)
        raise
    return size, checksum


MAKERS: dict[str, Callable[[str, str, int], Made]] = {
    "auto": _copy,
    "copy": _copy,
    "hardlink": _hardlink,
    "link": _or(_hardlink, _symlink),
    "move": _move,
    "relsymlink": _relsymlink,
    "symlink": _symlink,
}
"""By mode: makes a file of another; gives its size and, if we read it, checksum."""
