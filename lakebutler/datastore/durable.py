# SPDX-License-Identifier: BSD-3-Clause
"""Making written files durable, many at once.

Measured on ext4 with 500 files of 400 bytes (milliseconds per file): one `fsync`
after the other 0.26, 32 threads of them 0.07, one ``syncfs`` of the file system
0.013; of 20 files 0.39, 0.16 and 0.04; of one file 0.59, 0.77 and 0.56.  So few
files are synced one by one, and many with ``syncfs``: where the kernel reports
write errors through it (Linux 5.8), on file systems known to honour it, and while
not much else is waiting to be written, since it writes everybody's data.
Elsewhere threads do it.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes

__all__ = ["sync_directories", "sync_everything", "sync_files"]

FEW = 3
"""Up to so many files and directories are synced one by one."""

MANY_BYTES = 64 << 20
"""With more data than this waiting to be written, ``syncfs`` is not used for a few files: it
may be that of others, and if it is ours, the number of requests does not matter."""

BYTES_A_FILE = 32 << 10
"""So much more may wait for each file: what a disk writes while one `fsync` is done."""

_THREADS = 32

# f_type of statfs(2): file systems whose syncfs writes data and metadata out, with
# a flush of the disk's cache, and reports errors.
_HONEST = frozenset({0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x01021994})


def sync_files(paths: Sequence[str]) -> None:
    """Make the content of files durable.

    Parameters
    ----------
    paths : sequence of `str`
        Local files.

    Raises
    ------
    OSError
        Raised if one could not be written out.
    """
    _each(paths, _fsync)


def sync_directories(paths: Sequence[str]) -> None:
    """Make the entries of directories durable.

    Parameters
    ----------
    paths : sequence of `str`
        Local directories.

    Raises
    ------
    OSError
        Raised if one could not be written out.
    """
    _each(paths, _fsync)


def _fsync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _each(paths: Sequence[str], act: Callable[[str], None]) -> None:
    if len(paths) <= FEW:
        for path in paths:
            act(path)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(_THREADS, len(paths))) as pool:
        for _ in pool.map(act, paths):
            pass


def sync_everything(directory: str, count: int = 1) -> bool:
    """Make all that was written to a file system durable, if that is safe and cheap.

    Parameters
    ----------
    directory : `str`
        A directory on the file system.
    count : `int`, optional
        Number of files and directories that are to be made durable.

    Returns
    -------
    done : `bool`
        False if it cannot be relied on, or would write out too much of others; then
        nothing was done.

    Raises
    ------
    OSError
        Raised if something could not be written out.
    """
    libc = _libc()
    if libc is None or _waiting_bytes() > MANY_BYTES + count * BYTES_A_FILE:
        return False
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _kind(libc, descriptor) not in _HONEST:
            return False
        if libc.syncfs(descriptor) != 0:
            import ctypes

            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), directory)
    finally:
        os.close(descriptor)
    return True


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL | None:
    """The C library, where its ``syncfs`` reports errors."""
    if not sys.platform.startswith("linux"):
        return None
    major, _, rest = os.uname().release.partition(".")
    minor = rest.partition(".")[0]
    if not (major.isdecimal() and minor.isdecimal()) or (int(major), int(minor)) < (5, 8):
        return None
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    return library if hasattr(library, "syncfs") and hasattr(library, "fstatfs") else None


def _kind(libc: ctypes.CDLL, descriptor: int) -> int:
    import ctypes

    buffer = ctypes.create_string_buffer(512)  # struct statfs is shorter everywhere; f_type comes first
    if libc.fstatfs(descriptor, buffer) != 0:
        return 0
    kind: int = struct.unpack_from("@l", buffer)[0]
    return kind & 0xFFFFFFFF


def _waiting_bytes() -> int:
    """How much data the whole machine has yet to write, in bytes."""
    with contextlib.suppress(OSError, ValueError), open("/proc/meminfo", "rb") as stream:
        text = stream.read()
        at = text.index(b"\nDirty:")
        fields = text[at : at + 200].split()
        return (int(fields[1]) + int(fields[4])) * 1024
    return sys.maxsize
