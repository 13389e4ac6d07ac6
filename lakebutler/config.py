# SPDX-License-Identifier: BSD-3-Clause
"""Where repositories are, how they are configured, and what the user has allowed.

A repository's own ``butler.yaml`` comes from whoever made the repository: it is
read with the safe YAML loader, may hold only the sections listed in `SECTIONS`,
names no Python class, and nothing in it is expanded or included.  What widens
trust (reading files outside a repository) is kept on the user's side.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from lakebutler.errors import (
    NotARepositoryError,
    RepositoryFormatError,
    known_names,
)

__all__ = [
    "CONFIG_NAME",
    "FORMAT_FILE",
    "LAKE_FILE_HEAD",
    "SECTIONS",
    "ExternalTrust",
    "find_repository",
    "has_repository",
    "is_lake_file",
    "names_lake_file",
    "normalise_root",
    "parse_repo_config",
    "place_text",
    "user_config_dir",
]

FORMAT_FILE = "registry/format.json"
"""The file whose presence makes a directory or prefix a repository."""

CONFIG_NAME = "butler.yaml"
"""The repository's own configuration."""

LAKE_FILE_HEAD = ".lakebutler/head"
"""Name of the first member of the tar archive that holds a repository in one file."""

LAKE_FILE_SUFFIX = ".lake"
"""How the name of a repository in one file ends."""

SECTIONS = ("datastore", "defaults", "description")
"""Sections that ``butler.yaml`` may have."""

_MAX_CONFIG_BYTES = 1 << 20
_MAX_DEPTH = 50


def place_text(place: Any) -> Any:
    """Write a place as text.

    Parameters
    ----------
    place : `str` or path-like or `lsst.resources.ResourcePath` or other
        A place, or an open file.

    Returns
    -------
    text : `str` or other
        Path or URL; what is no place is returned as it is.
    """
    if isinstance(place, str | os.PathLike):
        return str(os.fspath(place))
    if hasattr(place, "ospath"):
        return place.ospath if place.isLocal else str(place)
    return place


def normalise_root(root: str | os.PathLike[str] | Any) -> str:
    """Make the root of a repository absolute.

    Parameters
    ----------
    root : `str` or path-like or `lsst.resources.ResourcePath`
        A local path, a ``file://`` URL, the path of a ``butler.yaml``, or another
        URL that fsspec knows, such as ``s3://bucket/prefix``.

    Returns
    -------
    root : `str`
        An absolute local path, or the URL without a trailing slash.
    """
    text: str = os.fspath(place_text(root))
    if text.startswith("file://"):
        from urllib.parse import unquote, urlsplit

        text = unquote(urlsplit(text).path)
    if text.endswith("/" + CONFIG_NAME) or text == CONFIG_NAME:
        text = text[: -len(CONFIG_NAME)] or "."
    if "://" in text:
        return text.rstrip("/")
    return os.path.abspath(os.path.expanduser(text))


def has_repository(
    root: str | os.PathLike[str] | Any, storage_options: Mapping[str, Any] | None = None
) -> bool:
    """Whether there is a repository at a place.

    Parameters
    ----------
    root : `str` or path-like
        Where to look.
    storage_options : mapping, optional
        Options for fsspec where the root is a URL.

    Returns
    -------
    found : `bool`
        True if the place holds a repository of any format version.
    """
    place = normalise_root(root)
    if "://" not in place:
        return os.path.isfile(os.path.join(place, FORMAT_FILE)) or is_lake_file(place)
    import fsspec

    options = {"skip_instance_cache": True, **dict(storage_options or {})}  # settings may have changed
    filesystem, path = fsspec.core.url_to_fs(place, **options)
    if names_lake_file(place):
        with contextlib.suppress(FileNotFoundError):
            return _begins_lake_file(filesystem.cat_file(path, start=0, end=512))
    return bool(filesystem.exists(f"{path}/{FORMAT_FILE}"))


def names_lake_file(place: str) -> bool:
    """Whether a place is to be a repository in one file, by its name alone.

    Parameters
    ----------
    place : `str`
        An absolute path or a URL.

    Returns
    -------
    named : `bool`
        True for ``x.lake``.
    """
    bare = place.partition("?")[0] if "://" in place else place
    return bare.lower().endswith(LAKE_FILE_SUFFIX)


def is_lake_file(place: str) -> bool:
    """Whether a local file holds a repository.

    Parameters
    ----------
    place : `str`
        A local path.

    Returns
    -------
    found : `bool`
        True if it begins as such a file does; a damaged one does too.
    """
    if not os.path.isfile(place):
        return False
    try:
        with open(place, "rb", buffering=0) as stream:
            return _begins_lake_file(stream.read(512))
    except OSError:
        return False


def _begins_lake_file(head: bytes) -> bool:
    return head[:100].rstrip(b"\0") == LAKE_FILE_HEAD.encode()


def find_repository(start: str | os.PathLike[str] | None = None) -> str | None:
    """Look for a repository from a directory upward, as git does.

    Parameters
    ----------
    start : `str` or path-like, optional
        Where to begin; the current directory by default.

    Returns
    -------
    root : `str` or `None`
        The nearest directory at or above ``start`` that is a repository.
    """
    here = os.path.abspath(os.fspath(start) if start is not None else os.getcwd())
    while True:
        if os.path.isfile(os.path.join(here, FORMAT_FILE)):
            return here
        parent = os.path.dirname(here)
        if parent == here:
            return None
        here = parent


def parse_repo_config(text: bytes | str, where: str) -> dict[str, Any]:
    """Parse a repository's ``butler.yaml``.

    Parameters
    ----------
    text : `bytes` or `str`
        The file's content.
    where : `str`
        The file's place, for messages.

    Returns
    -------
    config : `dict`
        Its sections.

    Raises
    ------
    RepositoryFormatError
        Raised if the file is no YAML mapping or has a section we do not know.
    """
    if len(text) > _MAX_CONFIG_BYTES:
        raise RepositoryFormatError(f"{where}: larger than {_MAX_CONFIG_BYTES} bytes")
    if _depth(text) > _MAX_DEPTH:
        raise RepositoryFormatError(f"{where}: nested more than {_MAX_DEPTH} deep")
    config = _parse(text, where)
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise RepositoryFormatError(f"{where}: must be a mapping, not {type(config).__name__}")
    for section, value in config.items():
        if section not in SECTIONS:
            raise RepositoryFormatError(
                f"{where}: unknown section {section!r}", hint=known_names(str(section), SECTIONS)
            )
        if section != "description" and not isinstance(value, dict):
            raise RepositoryFormatError(f"{where}: section {section!r} must be a mapping")
    return config


def _parse(text: bytes | str, where: str) -> Any:
    """Parse YAML; JSON (YAML too, and what we write) without the library, which loads slowly."""
    if not text.strip():
        return None
    if text.lstrip()[:1] in ("{", b"{"):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(text)
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        line = " ".join(str(exc).split())[:200]
        raise RepositoryFormatError(f"{where}: not valid YAML: {line}") from None


def _depth(text: bytes | str) -> int:
    """How deep brackets are nested, or dashes of lists in one line, at most."""
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    deepest = depth = 0
    for mark in re.findall(r"[\[{\]}]", plain):
        depth += 1 if mark in "[{" else -1
        deepest = max(deepest, depth)
    rows = [len(row.replace(" ", "")) for row in re.findall(r"(?:[-?] +){2,}", plain)]
    return max(deepest, *rows, 0)


def not_a_repository(place: str) -> NotARepositoryError:
    """Make the error for a place that holds no repository.

    Parameters
    ----------
    place : `str`
        Where we looked.

    Returns
    -------
    error : `NotARepositoryError`
        To be raised.
    """
    if "://" not in place and not os.path.exists(place):
        return NotARepositoryError(
            f"{place}: no such file or directory",
            hint=f"make a repository there with: lakebutler create {place}",
        )
    if "://" not in place and os.path.exists(os.path.join(place, "gen3.sqlite3")):
        return NotARepositoryError(
            f"{place}: this is a repository of lsst.daf.butler, not of lakebutler",
            hint="its registry is gen3.sqlite3; convert it first",
        )
    if "://" not in place and os.path.isfile(place):
        return NotARepositoryError(
            f"{place}: {_kind_of_file(place)}, no repository in one file",
            hint="if it is an archive that holds a repository: extract it and open the directory",
        )
    return NotARepositoryError(
        f"{place}: not a lakebutler repository (no {FORMAT_FILE})",
        hint=f"make one with: lakebutler create {place}",
    )


def _kind_of_file(place: str) -> str:
    """Say what a file is, by its first bytes."""
    try:
        with open(place, "rb", buffering=0) as stream:
            head = stream.read(512)
    except OSError as exc:
        return f"it cannot be read ({exc.strerror})"
    if not head:
        return "it is empty"
    if head[257:262] == b"ustar":
        return "it is a tar archive"
    known = {
        b"PK": "a zip archive",
        b"\x1f\x8b": "compressed with gzip",
        b"\x28\xb5\x2f\xfd": "compressed with zstd",
        b"\xfd7zXZ": "compressed with xz",
        b"SQLite format 3": "an SQLite database",
        b"SIMPLE  =": "a FITS file",
        b"PAR1": "a Parquet file",
    }
    kind = next((kind for mark, kind in known.items() if head.startswith(mark)), "some file")
    return f"it is {kind}"


def user_config_dir() -> str:
    """Directory of the user's own settings.

    Returns
    -------
    path : `str`
        ``$LAKEBUTLER_CONFIG_DIR``, else ``$XDG_CONFIG_HOME/lakebutler``, else
        ``~/.config/lakebutler``.  It may not exist.
    """
    explicit = os.environ.get("LAKEBUTLER_CONFIG_DIR")
    if explicit:
        return explicit
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(base, "lakebutler")


class ExternalTrust:
    """Which places outside a repository this user has let its datasets lie in.

    A dataset that was ingested with ``transfer="direct"`` stays where it was.
    Its address is content of the repository, so a repository from a stranger
    could name any file: such files are read only below a prefix that the user
    has allowed.  Ingesting directly allows the directories it took files from,
    for this repository and this user.

    Parameters
    ----------
    repo_id : `str`
        Identity of the repository.
    """

    def __init__(self, repo_id: str) -> None:
        self._repo_id = repo_id
        self._path = os.path.join(user_config_dir(), "external.json")
        self._session: set[str] = set()

    def prefixes(self) -> tuple[str, ...]:
        """Prefixes allowed for this repository, each ending in a slash."""
        return tuple(sorted(self._session | set(self._load().get(self._repo_id, ()))))

    def allow(self, prefixes: Iterable[str]) -> None:
        """Remember more prefixes.

        Parameters
        ----------
        prefixes : iterable of `str`
            Absolute directories or URL prefixes.

        Notes
        -----
        Where the user's settings cannot be written the permission lasts for
        this process.
        """
        wanted = {p.rstrip("/") + "/" for p in prefixes}
        if wanted <= set(self.prefixes()):
            return
        self._session |= wanted
        with contextlib.suppress(OSError):
            self._save(wanted)

    def _load(self) -> dict[str, list[str]]:
        try:
            with open(self._path, encoding="utf-8") as stream:
                content = json.load(stream)
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _save(self, wanted: set[str]) -> None:
        import fcntl

        os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
        with open(self._path + ".lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            content = self._load()
            content[self._repo_id] = sorted(set(content.get(self._repo_id, ())) | wanted)
            temporary = f"{self._path}.{os.getpid()}"
            with open(temporary, "w", encoding="utf-8") as stream:
                json.dump(content, stream, indent=1)
            os.replace(temporary, self._path)
