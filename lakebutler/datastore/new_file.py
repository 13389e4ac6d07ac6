# SPDX-License-Identifier: BSD-3-Clause
"""Files that are made, never written over, and gone if writing them failed."""

from __future__ import annotations

import os

__all__ = ["new_file", "write_all"]

_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class _removed_on_failure:  # noqa: N801 - reads as what it does
    """Close a new file, and remove it if writing it failed."""

    __slots__ = ("descriptor", "place")

    def __init__(self, place: str, descriptor: int) -> None:
        self.place = place
        self.descriptor = descriptor

    def __enter__(self) -> int:
        return self.descriptor

    def __exit__(self, kind: object, exc: object, trace: object) -> None:
        os.close(self.descriptor)
        if kind is not None:
            os.unlink(self.place)


def new_file(place: str, mode: int) -> _removed_on_failure:
    """Make a file that must not exist; a context that gives its descriptor.

    Parameters
    ----------
    place : `str`
        Local path.
    mode : `int`
        Permissions, before the umask.

    Returns
    -------
    context : context manager
        Closes the file; removes it if its block fails.
    """
    return _removed_on_failure(place, os.open(place, _WRITE, mode))


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of a buffer.

    Parameters
    ----------
    descriptor : `int`
        An open file.
    data : buffer
        What to write.
    """
    written = os.write(descriptor, data)
    if written != len(data):
        rest = memoryview(data)[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]
