# SPDX-License-Identifier: BSD-3-Clause
"""The seam between datasets and where their files lie."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from lakebutler.lake.storage import FileInfo

__all__ = ["CHUNK", "Content", "Files", "Written", "checksum_of", "next_name", "stream_checksum"]

CHUNK = 1 << 20
"""Bytes copied at a time."""


class Written(NamedTuple):
    """A file that was made.

    Attributes
    ----------
    path : `str`
        Its path; not always the one asked for.
    size : `int`
        Size in bytes.
    checksum : `str` or `None`
        ``sha256:<hex>`` where its bytes went through our hands.
    """

    path: str
    size: int
    checksum: str | None


class Content(NamedTuple):
    """What reading a file gives.

    Attributes
    ----------
    size : `int`
        Size in bytes.
    data : `bytes` or `None`
        All of it; `None` if it is to be read from ``path``.
    path : `str` or `None`
        A local file that has it.
    stream : file-like or `None`
        The open file, where it is not in memory; to be closed by the caller.
    identity : `tuple`
        Changes whenever the local file does; empty if that cannot be known.
    temporary : `bool`
        The local file is a copy, to be removed by the caller.
    """

    size: int
    data: bytes | None
    path: str | None = None
    stream: BinaryIO | None = None
    identity: tuple[int, ...] = ()
    temporary: bool = False


class Files(ABC):
    """Files below the root of a repository, by relative path.

    Attributes
    ----------
    url : `str`
        The root, for messages.
    in_one_file : `bool`
        They are members of one file.
    """

    url: str
    in_one_file: bool = False

    @abstractmethod
    def create(self, path: str, data: bytes | memoryview) -> str:
        """Write a new file; never over another one.

        Parameters
        ----------
        path : `str`
            Wanted path.
        data : buffer
            The content.

        Returns
        -------
        path : `str`
            The path it has: if the wanted one is taken, the next one that is free.

        Raises
        ------
        StorageError
            Raised if it cannot be written; nothing is left behind.
        """

    @abstractmethod
    def bring(self, source: str, path: str, mode: str) -> Written:
        """Make a new file of another one.

        Parameters
        ----------
        source : `str`
            Absolute local path, or URI.
        path : `str`
            Wanted path.
        mode : `str`
            ``copy``, or where both are local ``move`` (the original stays until
            the caller removes it), ``auto``, ``link``, ``hardlink``, ``symlink``,
            ``relsymlink``.

        Returns
        -------
        written : `Written`
            The new file.
        """

    @abstractmethod
    def read(self, path: str, memory: int) -> Content:
        """Open a file.

        Parameters
        ----------
        path : `str`
            A checked path.
        memory : `int`
            Files up to this size are read into memory.

        Returns
        -------
        content : `Content`
            The content, unverified.

        Raises
        ------
        FileNotFoundError
            Raised if there is none.
        ExternalFileError
            Raised if the path leads out of the root.
        """

    @abstractmethod
    def size(self, path: str) -> int | None:
        """Size of a file in bytes; `None` if there is none.

        Parameters
        ----------
        path : `str`
            A checked path.
        """

    @abstractmethod
    def sync(self, paths: Iterable[str]) -> None:
        """Make written files durable.

        Parameters
        ----------
        paths : iterable of `str`
            Files made by this object.
        """

    @abstractmethod
    def delete(self, paths: Iterable[str]) -> None:
        """Remove files; those that are gone already do not matter.

        Parameters
        ----------
        paths : iterable of `str`
            Checked paths.
        """

    @abstractmethod
    def walk(self, folder: str) -> Iterator[FileInfo]:
        """Yield the files in a folder and in those below it, in no particular order.

        Parameters
        ----------
        folder : `str`
            A checked path; there need be nothing.

        Yields
        ------
        file : `FileInfo`
            A file; the size of a link is that of what it leads to, -1 if it leads
            nowhere.
        """

    @abstractmethod
    def local_path(self, path: str) -> str | None:
        """Local path of a file; `None` where files are not local.

        Parameters
        ----------
        path : `str`
            A checked path.
        """


def checksum_of(data: bytes | memoryview) -> str:
    """Checksum of data in memory.

    Parameters
    ----------
    data : buffer
        The content of a file.

    Returns
    -------
    checksum : `str`
        ``sha256:<hex>``.
    """
    return "sha256:" + hashlib.sha256(data).hexdigest()


def stream_checksum(stream: BinaryIO) -> str:
    """Checksum of an open file, from its current position.

    Parameters
    ----------
    stream : file-like
        Open for reading.

    Returns
    -------
    checksum : `str`
        ``sha256:<hex>``.
    """
    digest = hashlib.sha256()
    while part := stream.read(CHUNK):
        digest.update(part)
    return "sha256:" + digest.hexdigest()


def next_name(path: str, n: int) -> str:
    """Another name for a file whose name is taken.

    Parameters
    ----------
    path : `str`
        The name that was wanted.
    n : `int`
        How many were tried; 0 gives the name itself.

    Returns
    -------
    path : `str`
        ``x-<id>.2.fits`` for ``x-<id>.fits``.
    """
    if n == 0:
        return path
    directory, slash, name = path.rpartition("/")
    stem, dot, ending = name.partition(".") if "-" not in name else _split_after_id(name)
    return f"{directory}{slash}{stem}.{n}{dot}{ending}"


def _split_after_id(name: str) -> tuple[str, str, str]:
    at = name.rindex("-")
    dot = name.find(".", at)
    return (name, "", "") if dot < 0 else (name[:dot], ".", name[dot + 1 :])
