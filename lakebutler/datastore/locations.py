# SPDX-License-Identifier: BSD-3-Clause
"""Where the files of datasets are, and whether they are there."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from lakebutler.datasets.stored_parts import is_parts, paths_of
from lakebutler.datastore.composites import Composites
from lakebutler.datastore.files import Files
from lakebutler.datastore.local import LocalFiles
from lakebutler.datastore.paths import Allowed, check_stored_path, external_uri, file_uri, local_path_of_uri
from lakebutler.datastore.read import describe
from lakebutler.datastore.records import FileRecord
from lakebutler.errors import DatasetTypeNotSupportedError, StorageError

if TYPE_CHECKING:
    from lsst.resources import ResourcePath

__all__ = ["Locations"]


class Locations(ABC):
    """The part of a `Datastore` that is about places."""

    root: str
    _files: Files
    _local: LocalFiles | None
    _allowed: Allowed
    _composites: Composites

    @abstractmethod
    def predict(self, ref: Any) -> str:
        """Path that the file of a dataset would be written to, relative to the root."""

    @abstractmethod
    def _remote(self, uri: str) -> tuple[Any, str]: ...

    def exists(self, record: FileRecord) -> bool:
        """Whether the file of a record is there, with its size; of one in parts, every file.

        Parameters
        ----------
        record : `FileRecord`
            The record.

        Returns
        -------
        exists : `bool`
            False also if it lies outside, where the caller has not allowed.
        """
        if (parts := record.parts) is not None:
            return all(map(self.exists, parts.values()))
        if record.path is not None:
            return self._files.size(check_stored_path(record.path)) == record.size
        uri = record.uri
        if uri is None or not self._allowed.permits(uri):
            return False
        if uri.startswith("file://"):
            try:
                return os.stat(local_path_of_uri(uri)).st_size == record.size
            except OSError:
                return False
        filesystem, path = self._remote(uri)
        try:
            return bool(int(filesystem.info(path)["size"]) == record.size)
        except FileNotFoundError:
            return False
        except Exception as exc:
            raise StorageError(f"cannot look for {uri}: {exc}") from exc

    def exists_many(self, records: Sequence[FileRecord]) -> list[bool]:
        """Whether the files of many records are there; see `exists`.

        Parameters
        ----------
        records : sequence of `FileRecord`
            The records.

        Returns
        -------
        exist : `list` [`bool`]
            One for each.
        """
        if any(is_parts(r.path) or is_parts(r.uri) for r in records):
            spread = [record.files for record in records]
            there = iter(self.exists_many([file for files in spread for file in files]))
            return [all(list(islice(there, len(files)))) for files in spread]
        remote = self._local is None or any(r.uri and not r.uri.startswith("file://") for r in records)
        if not remote or len(records) < 2:
            return [self.exists(record) for record in records]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(self.exists, records))

    def remove(self, records: Iterable[FileRecord]) -> None:
        """Remove files; external ones are never removed.

        Parameters
        ----------
        records : iterable of `FileRecord`
            Their records; a file that is gone does not matter.
        """
        self._files.delete(
            [check_stored_path(path) for path in paths_of(r.path for r in records if r.path is not None)]
        )

    def local_path(self, record: FileRecord) -> str | None:
        """Local path of a record's file.

        Parameters
        ----------
        record : `FileRecord`
            The record.

        Returns
        -------
        path : `str` or `None`
            `None` if the file is not on the local disk.

        Raises
        ------
        ExternalFileError
            Raised if it lies outside, where the caller has not allowed.
        """
        if record.path is not None:
            return self._files.local_path(check_stored_path(record.path))
        uri = record.uri or ""
        if not uri.startswith("file://"):
            return None
        self._allowed.require(uri, "a dataset")
        return local_path_of_uri(uri)

    def uri(self, ref: Any, record: FileRecord | None) -> ResourcePath:
        """Address of a dataset's file.

        Parameters
        ----------
        ref : `DatasetRef`
            The dataset.
        record : `FileRecord` or `None`
            Its file; `None` to predict where it would be written.

        Returns
        -------
        uri : `lsst.resources.ResourcePath`
            A predicted one ends in ``#predicted``.

        Raises
        ------
        DatasetTypeNotSupportedError
            Raised if the dataset is, or would be, in parts; see `uris`.
        """
        primary, components = self.uris(ref, record)
        if primary is None:
            raise DatasetTypeNotSupportedError(
                f"{describe(ref)} is in {len(components)} files, one for each component",
                hint="getURIs gives the addresses of all",
            )
        return primary

    def uris(
        self, ref: Any, record: FileRecord | None
    ) -> tuple[ResourcePath | None, dict[str, ResourcePath]]:
        """Addresses of a dataset's files.

        Parameters
        ----------
        ref : `DatasetRef`
            The dataset.
        record : `FileRecord` or `None`
            Its file; `None` to predict where it would be written.

        Returns
        -------
        primary : `lsst.resources.ResourcePath` or `None`
            The file; `None` for a dataset in parts.
        components : `dict` [`str`, `lsst.resources.ResourcePath`]
            The files of one in parts, by component.
        """
        if record is not None:
            parts = record.parts
            if parts is None:
                return self._uri(record), {}
            return None, {name: self._uri(part) for name, part in parts.items()}
        whole = ref.makeCompositeRef() if ref.isComponent() else ref
        if not self._composites.wants(whole):
            return external_uri(self._address(self.predict(whole)) + "#predicted"), {}
        return None, {
            name: external_uri(self._address(self.predict(whole.makeComponentRef(name))) + "#predicted")
            for name in self._composites.components(whole)
        }

    def _uri(self, record: FileRecord) -> ResourcePath:
        if record.path is None:
            return external_uri(record.uri or "")
        return external_uri(self._address(check_stored_path(record.path)))

    def _address(self, path: str) -> str:
        if self._local is not None:
            return file_uri(f"{self.root}/{path}")
        from urllib.parse import quote

        whole = self._files.in_one_file
        root = file_uri(self.root) if whole and "://" not in self.root else self.root
        return f"{root}{'#member=' if whole else '/'}{quote(path, safe='/~+,=@:')}"
