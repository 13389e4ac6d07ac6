# SPDX-License-Identifier: BSD-3-Clause
"""What was learnt when a remote repository was last opened, so that opening it again is one request.

A checkpoint never changes, and neither does a log entry.  So the user's cache keeps the
checkpoint that a repository was opened from, with size and time of the log entry of the same
version.  One listing of the log from that entry on then shows both that it is still the same
repository and what came since.  Nothing relies on it: whatever does not fit is read anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lakebutler.lake.cache import cache_root

__all__ = ["Memo", "Remembered"]


@dataclass(frozen=True)
class Remembered:
    """A checkpoint that a repository was opened from.

    Parameters
    ----------
    format : `str`
        Content of ``registry/format.json``.
    version : `int`
        Version of the checkpoint.
    path : `str`
        Its path in the repository.
    size : `int`
        Its size in bytes.
    sha256 : `str`
        Its digest.
    entry_size, entry_mtime : `int`, `float`
        Size, and time by the clock of the store, of the log entry of the same version.
    """

    format: str
    version: int
    path: str
    size: int
    sha256: str
    entry_size: int
    entry_mtime: float

    def fits(self, size: int, mtime: float) -> bool:
        """Whether a log entry of this size and time is the one that was there before."""
        return (size, mtime) == (self.entry_size, self.entry_mtime)


class Memo:
    """Where one user keeps what was learnt of one remote repository.

    Parameters
    ----------
    address : `str`
        What tells it from every other: endpoint and URL.
    """

    def __init__(self, address: str) -> None:
        name = hashlib.sha256(address.encode()).hexdigest()
        self._place: Path = cache_root() / "opened" / f"{name}.json"

    def read(self) -> Remembered | None:
        """Return what was learnt, or `None` if nothing was."""
        try:
            raw = json.loads(self._place.read_bytes())
            made = Remembered(**raw)
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        texts, numbers = (made.format, made.path, made.sha256), (made.version, made.size, made.entry_size)
        good = all(type(text) is str for text in texts) and all(type(number) is int for number in numbers)
        return made if good else None

    def write(self, learnt: Remembered) -> None:
        """Keep what was learnt; where there is no room or permission it is not kept."""
        with suppress(OSError):
            self._place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = self._place.with_name(f".tmp-{uuid.uuid4().hex}")
            try:
                temporary.write_text(json.dumps(asdict(learnt)))
                os.replace(temporary, self._place)
            finally:
                with suppress(FileNotFoundError):
                    temporary.unlink()
