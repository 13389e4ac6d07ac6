# SPDX-License-Identifier: BSD-3-Clause
"""Names inside a repository, and the seal that every registry file carries.

A sealed file is UTF-8 JSON, one object per line, whose very last member is
``"sha256"``: the digest of every byte before the comma that introduces it.  One
flipped bit anywhere in the file, the digest included, is noticed.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from lakebutler.errors import RepositoryCorruptError

__all__ = [
    "BOUNDARY",
    "CHECKPOINT",
    "DATA",
    "FORMAT",
    "LAST",
    "LOCK",
    "LOG",
    "VIEWS",
    "boundary_path",
    "checkpoint_path",
    "dump",
    "is_data_path",
    "log_path",
    "log_version",
    "seal",
    "unseal",
]

FORMAT = "registry/format.json"
LOG = "registry/log/"
DATA = "registry/data/"
CHECKPOINT = "registry/checkpoint/"
LAST = "registry/checkpoint/_last"
BOUNDARY = "registry/boundary/"
VIEWS = "registry/views.sql"
LOCK = "registry/.lock"

_MARK = b',"sha256":"'
_TAIL_LENGTH = len(_MARK) + 64 + len(b'"}\n')
_LOG_NAME = re.compile(r"registry/log/(\d{20})\.json\Z")
_DATA_NAME = re.compile(r"registry/data/[A-Za-z_][A-Za-z0-9_]*/[A-Za-z0-9][A-Za-z0-9_.-]*\.parquet\Z")


def log_path(version: int) -> str:
    """Path of the log entry of a version."""
    return f"{LOG}{version:020d}.json"


def log_version(path: str) -> int | None:
    """Version whose log entry this path is, or None if it is no log entry."""
    found = _LOG_NAME.match(path)
    return int(found.group(1)) if found else None


def boundary_path(version: int) -> str:
    """Path of the mark that entries up to this version were removed."""
    return f"{BOUNDARY}{version:020d}"


def checkpoint_path(version: int, unique: str) -> str:
    """Path of one checkpoint of a version."""
    return f"{CHECKPOINT}{version:020d}-{unique}.json"


def is_data_path(path: object) -> bool:
    """Whether a path read from a log entry may name a data file."""
    return isinstance(path, str) and len(path) <= 600 and _DATA_NAME.match(path) is not None


def dump(value: Any) -> str:
    """JSON text without needless blanks; NaN is refused."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def seal(text: str) -> bytes:
    """Close JSON text (which ends in ``}``) with the digest of itself.

    Parameters
    ----------
    text : `str`
        One JSON object, or several, one per line; no newline at the end.

    Returns
    -------
    data : `bytes`
        What to write.
    """
    body = text[:-1].encode()
    return b"".join((body, _MARK, hashlib.sha256(body).hexdigest().encode(), b'"}\n'))


def unseal(data: bytes, where: str) -> str:
    """Check the seal and return the digest.

    Parameters
    ----------
    data : `bytes`
        Content of a sealed file.
    where : `str`
        What to call the file in an error.

    Returns
    -------
    digest : `str`
        SHA-256 of the content as 64 hexadecimal digits.

    Raises
    ------
    lakebutler.errors.RepositoryCorruptError
        If the file is not what was written.
    """
    body, tail = data[:-_TAIL_LENGTH], data[-_TAIL_LENGTH:]
    digest = hashlib.sha256(body).hexdigest()
    if not body or tail != _MARK + digest.encode() + b'"}\n':
        what = "is cut short" if not data.endswith(b'"}\n') else "does not match its own checksum"
        raise RepositoryCorruptError(
            f"{where} {what}", hint="restore this file from a copy of the repository"
        )
    return digest
