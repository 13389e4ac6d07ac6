# SPDX-License-Identifier: BSD-3-Clause
"""Small files of a stranger, read whole: nothing that waits for a writer, nothing without end."""

from __future__ import annotations

import os
import stat

from lakebutler.errors import RepositoryFormatError

__all__ = ["read_small"]


def read_small(path: str | os.PathLike[str], most: int, what: str) -> bytes:
    """Read a file.

    Parameters
    ----------
    path : `str` or path-like
        The file.
    most : `int`
        Bytes that it may have.
    what : `str`
        What it should be, for messages.

    Returns
    -------
    data : `bytes`
        All of it.

    Raises
    ------
    RepositoryFormatError
        Raised if it cannot be read, is no plain file, or is too large.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would wait for ever
            raise RepositoryFormatError(f"{os.fspath(path)} cannot be read: it is no plain file")
        with open(path, "rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise RepositoryFormatError(f"{os.fspath(path)} cannot be read: {error.strerror}") from None
    if len(data) > most:
        raise RepositoryFormatError(f"{os.fspath(path)} is larger than {most >> 20} MiB: no {what} is")
    return data
