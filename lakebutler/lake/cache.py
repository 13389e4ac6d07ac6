# SPDX-License-Identifier: BSD-3-Clause
"""Copies of a remote store's immutable files on the local disk."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from contextlib import suppress
from pathlib import Path

__all__ = ["FileCache", "cache_root"]

_SAFE = re.compile(r"[A-Za-z0-9_-]{1,100}\Z")


def cache_root() -> Path:
    """Return the user's cache folder: ``$XDG_CACHE_HOME/lakebutler`` or ``~/.cache/lakebutler``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and os.path.isabs(base) else Path.home() / ".cache") / "lakebutler"


class FileCache:
    """Files by repository and path, each checked when this process first uses it.

    Parameters
    ----------
    repo_id : `str`
        Whose files.
    root : `pathlib.Path`, optional
        Where to keep them; the user's cache folder by default.
    """

    def __init__(self, repo_id: str, root: Path | None = None) -> None:
        if not _SAFE.match(repo_id):
            raise ValueError(f"{repo_id!r} cannot name a folder")
        self._folder = (root or cache_root()) / "files" / repo_id
        self._checked: dict[str, str] = {}

    def _place(self, path: str, sha256: str) -> Path:
        # The digest is part of the name: two stores that claim one id share nothing.
        name = hashlib.sha256(f"{path}\0{sha256}".encode()).hexdigest()
        return self._folder / name[:2] / f"{name[2:]}.parquet"

    def get(self, path: str, size: int, sha256: str) -> str | None:
        """Return the name of a good copy, or `None` if there is none."""
        place = self._place(path, sha256)
        if self._checked.get(str(place)) == sha256 and place.exists():
            return str(place)
        try:
            if place.stat().st_size != size:
                return None
            with place.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    return None
        except OSError:
            return None
        self._checked[str(place)] = sha256
        return str(place)

    def put(self, path: str, data: bytes, sha256: str) -> str:
        """Keep content that was checked; return the name of the copy.

        Raises
        ------
        OSError
            Raised if there is no room or no permission.
        """
        place = self._place(path, sha256)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = place.with_name(f".tmp-{uuid.uuid4().hex}")
        try:
            temporary.write_bytes(data)
            temporary.replace(place)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        self._checked[str(place)] = sha256
        return str(place)
