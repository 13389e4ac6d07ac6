# SPDX-License-Identifier: BSD-3-Clause
"""The one narrow seam between the lake and where its files lie."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from lakebutler.lake.memo import Memo

__all__ = ["FileInfo", "Storage", "check_path"]


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One file as a listing shows it.

    Parameters
    ----------
    path : `str`
        Relative to the root of the storage.
    size : `int`
        Bytes.
    mtime : `float`
        Seconds since 1970, by the clock of the store.
    """

    path: str
    size: int
    mtime: float


class Storage(ABC):
    """Where the files of a repository lie.

    Paths are relative to the root, with ``/`` between their parts.  What the
    protocol asks of a store is `create`: of any number of callers at once, in
    any processes on any machines, exactly one wins.

    Attributes
    ----------
    url : `str`
        The root, for messages.
    remote : `bool`
        Whether one request costs so much that listing beats probing.
    """

    url: str
    remote: bool = False

    def memo(self) -> Memo | None:
        """Return where to note what opening taught, if that saves requests."""
        return None

    def belongs_to(self, repo_id: str) -> None:  # noqa: B027 - most storages need not know
        """Say whose files these are."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """Return the content of a file.

        Raises
        ------
        FileNotFoundError
            Raised if there is none.
        lakebutler.errors.StorageError
            Raised if the store refuses.
        """

    def read_many(self, paths: Sequence[str]) -> list[bytes]:
        """Return the content of several files, at once where that is faster.

        Raises
        ------
        FileNotFoundError
            Raised if one of them is missing.
        """
        return [self.read(path) for path in paths]

    @abstractmethod
    def create(self, path: str, data: bytes) -> None:
        """Make a file that must not exist yet: wholly and durably, or not at all.

        Raises
        ------
        FileExistsError
            Raised if the name is taken; what is there stays as it was.
        lakebutler.errors.StorageUncertainError
            Raised if no answer came: the file may be there or not.
        lakebutler.errors.StorageError
            Raised if the store refuses.
        """

    @abstractmethod
    def write(self, path: str, data: bytes) -> None:
        """Write a file durably: a name that nobody else uses, or a hint.

        A reader sees the old content or the new, never a part.

        Raises
        ------
        lakebutler.errors.StorageError
            Raised if the store refuses.
        """

    @abstractmethod
    def list(self, prefix: str, after: str = "") -> Iterator[FileInfo]:
        """List the files directly below a folder, in the order of their names.

        Parameters
        ----------
        prefix : `str`
            A folder, ending in ``/``.
        after : `str`, optional
            Only those whose path comes after this one.
        """

    @abstractmethod
    def delete(self, paths: Sequence[str]) -> None:
        """Remove files; one that is not there is no error."""

    @abstractmethod
    def fetch(self, path: str, size: int, sha256: str) -> str:
        """Return the name of a local file with this content, checked.

        Parameters
        ----------
        path : `str`
            An immutable file of the store.
        size : `int`
            Its size in bytes.
        sha256 : `str`
            Its digest, 64 hexadecimal digits.

        Raises
        ------
        FileNotFoundError
            Raised if there is none.
        lakebutler.errors.RepositoryCorruptError
            Raised if it is not the one described.
        """

    def keep(self, path: str, data: bytes, sha256: str) -> None:  # noqa: B027
        """Be told of an immutable file that this process has just made, so as not to read it again."""

    def close(self) -> None:  # noqa: B027
        """Let go of open files; the next call opens them again."""

    @abstractmethod
    def lock(self, meanwhile: Callable[[], None] | None = None) -> AbstractContextManager[None]:
        """Queue with the other committers.

        Only for speed and fairness: nothing may rely on it.  A crash lets go of it.

        Parameters
        ----------
        meanwhile : callable, optional
            What is worth doing again and again while others are in front; it may never
            be called.
        """


def check_path(path: str) -> str:
    """Return the path if it stays inside the root.

    Raises
    ------
    ValueError
        Raised if it does not.
    """
    parts = path.split("/")
    if not path or "\\" in path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{path!r} is no path inside a repository")
    return path
