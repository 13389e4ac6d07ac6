# SPDX-License-Identifier: BSD-3-Clause
"""The files of a repository's datasets.

Writing: a fresh file, never over another; made durable by `Datastore.sync`; referred
to only after the commit.  Reading: the record is checked first (nothing outside the
root but what the caller allowed), then the bytes (size and SHA-256), then the format.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lakebutler.datasets.storage_class import StorageClass, StorageClassFactory
from lakebutler.datastore.composites import CompositeReader, Composites, put_parts
from lakebutler.datastore.constraints import Constraints
from lakebutler.datastore.files import Content, Files, checksum_of
from lakebutler.datastore.ingest import Ingest, Ingested, ingest_files
from lakebutler.datastore.local import LocalFiles, open_regular
from lakebutler.datastore.locations import Locations
from lakebutler.datastore.lookup import Overrides
from lakebutler.datastore.opening import open_files
from lakebutler.datastore.paths import Allowed, check_stored_path, local_path_of_uri
from lakebutler.datastore.read import (
    IN_MEMORY,
    PARTLY,
    Plan,
    Verifier,
    check_size,
    describe,
    make_plan,
    missing,
    read_object,
    with_provenance,
)
from lakebutler.datastore.records import IN_PARTS, FileRecord
from lakebutler.datastore.template import FileTemplate, default_path, parse_template
from lakebutler.errors import (
    DatasetNotFoundError,
    FileFormatError,
    RepositoryCorruptError,
    RepositoryFormatError,
    StorageError,
    known_names,
)
from lakebutler.formatters.factory import get_formatter, key_of
from lakebutler.formatters.formatter import Formatter

__all__ = ["Datastore"]

SETTINGS = ("composites", "constraints", "formatters", "private", "templates", "verify")
"""What the section ``datastore`` of a repository's configuration may have."""

REMOTE_IN_MEMORY = 256 << 20
"""Remote files up to this size, in bytes, are read into memory; larger ones into a temporary file."""


class Datastore(Locations):
    """Puts, gets and ingests files of datasets.

    Parameters
    ----------
    root : `str`
        Absolute path of the repository, or its URL.
    storage_options : mapping, optional
        Options for fsspec where the root is a URL.
    config : mapping, optional
        Section ``datastore`` of the repository's configuration: ``templates`` and
        ``formatters`` by dataset type and the like (`Overrides`), `Constraints`, `Composites`,
        ``private`` (new files are for their owner only), ``verify`` (check sums on reading).
    allow_external : `bool` or sequence of `str`, optional
        Directories and URI prefixes outside the repository from which its datasets
        may be read; true for anywhere.
    trust : `bool`, optional
        Files whose format runs code may be read.
    files : `Files`, optional
        Where the files are, if it is known already.
    """

    def __init__(
        self,
        root: str,
        *,
        storage_options: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        allow_external: Sequence[str] | bool = (),
        trust: bool = False,
        files: Files | None = None,
    ) -> None:
        config = config or {}
        for name in config:
            if name not in SETTINGS:
                raise RepositoryFormatError(
                    f"the configuration of the datastore has unknown {name!r}",
                    hint=known_names(str(name), SETTINGS),
                )
        if root.startswith("file://"):
            root = local_path_of_uri(root)
        self.root = root.rstrip("/") or "/"
        self._options = dict(storage_options or {})
        self._trust = trust is True
        self._verify = config.get("verify", True) is not False
        self._constraints = Constraints(config.get("constraints"))
        self._templates: Overrides[FileTemplate] = Overrides(
            config.get("templates"), parse_template, "templates"
        )
        self._formatters: Overrides[str] = Overrides(
            config.get("formatters"), key_of, "formatters", whole=True
        )
        self._composites = Composites(config.get("composites"))
        self.files = self._files = files or open_files(
            self.root, self._options, private=bool(config.get("private"))
        )
        self._local = self._files if isinstance(self._files, LocalFiles) else None
        self._allow: Sequence[str] | bool = ()
        self._allowed = Allowed()
        self._verifier = Verifier()
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self._writers: dict[tuple[str, str], tuple[StorageClass, tuple[Formatter, ...], tuple[str, ...]]] = {}
        self.allow_external(allow_external)

    # ------------------------------------------------------------------- trust

    def allow_external(self, prefixes: Iterable[str] | bool) -> None:
        """Let datasets be read from more places outside the repository.

        Parameters
        ----------
        prefixes : iterable of `str` or `bool`
            Absolute directories and URI prefixes; true for anywhere.
        """
        if isinstance(prefixes, bool) or self._allow is True:
            self._allow = prefixes is True or self._allow
        else:
            given = (prefixes,) if isinstance(prefixes, str) else tuple(prefixes)
            kept = () if isinstance(self._allow, bool) else tuple(self._allow)
            self._allow = (*kept, *(p for p in given if p not in kept))
        self._allowed = Allowed(self._allow)
        if self._local is not None:
            self._local.allowed = self._allowed

    # ----------------------------------------------------------------- writing

    def put(self, obj: Any, ref: Any, *, provenance: Any = None) -> FileRecord:
        """Write an object into a new file.

        Parameters
        ----------
        obj : `object`
            It must fit the storage class of the dataset type.
        ref : `DatasetRef`
            The dataset.
        provenance : `DatasetProvenance`, optional
            Where it comes from; written into the file where the format can.

        Returns
        -------
        record : `FileRecord`
            The new file, or those of its components where the configuration says so;
            durable only after `sync`.

        Raises
        ------
        StorageClassError
            Raised if the object does not fit.
        FileFormatError
            Raised if no formatter of the storage class can hold it.
        StorageError
            Raised if the file cannot be written; nothing is left behind then.
        """
        self._constraints.require((ref,))
        if self._composites.wants(ref):
            return put_parts(obj, ref, provenance, self._write, self.rollback)
        return self._write(obj, ref, provenance)

    def _write(self, obj: Any, ref: Any, provenance: Any) -> FileRecord:
        """Write one file: of a dataset, or of a component that is kept alone."""
        storage_class, formatters, keys = self._writer(ref)
        obj = storage_class.coerce(obj)
        problem: FileFormatError | None = None
        for formatter, key in zip(formatters, keys, strict=True):
            buffer = io.BytesIO()
            try:
                formatter.write(with_provenance(formatter, obj, ref, provenance), buffer)
            except FileFormatError as exc:
                problem = problem or exc
                continue
            data = buffer.getbuffer()
            path = self._files.create(self._name(ref, formatter.extension), data)
            return FileRecord(path, None, key, storage_class.name, len(data), checksum_of(data))
        assert problem is not None
        raise FileFormatError(
            f"cannot write {describe(ref)}: {problem.message}", hint=problem.hint
        ) from problem

    def _writer(self, ref: Any) -> tuple[StorageClass, tuple[Formatter, ...], tuple[str, ...]]:
        name = ref.datasetType.storageClass_name
        override = self._formatters.find(ref)
        found = self._writers.get((name, override or ""))
        if found is None:
            storage_class = ref.datasetType.storageClass
            keys = (override,) if override is not None else storage_class.formatters
            if not keys:
                raise FileFormatError(
                    f"storage class {name!r} has no formatter",
                    hint="set one: formatters: [...] in its definition, or in the datastore's configuration",
                )
            formatters = tuple(get_formatter(key, trust=self._trust) for key in keys)
            found = self._writers[name, override or ""] = (storage_class, formatters, tuple(keys))
        return found

    def _name(self, ref: Any, extension: str) -> str:
        template = self._templates.find(ref)
        name, component = ref.datasetType.nameAndComponent()
        if template is None:
            return default_path(ref.run, name, ref.dataId, ref.id, extension, component)
        return template.path(ref.run, name, ref.dataId, ref.id, extension, component)

    def ingest(self, files: Sequence[Any], transfer: str | None) -> Ingested:
        """Take in files that exist.

        Parameters
        ----------
        files : sequence of `FileDataset`
            Files, each with its references.
        transfer : `str` or `None`
            `None` or ``in place`` (the file lies inside the repository already),
            ``auto`` (in place if inside, else a copy), ``copy``,
            ``move``, ``direct`` (it stays where it is), ``split`` (in place if
            inside, else direct), ``link`` (a hard link, else a symbolic one),
            ``hardlink``, ``symlink``, ``relsymlink``.

        Returns
        -------
        done : `Ingested`
            A record for each file, the paths that were written, and the originals
            that `finish` is to remove after the commit.

        Raises
        ------
        DatasetNotFoundError
            Raised if a file is missing; nothing is left behind then.
        StorageError
            Raised if a file cannot be brought in; nothing is left behind then.
        """
        self._constraints.require(ref for file in files for ref in file.refs)
        store = Ingest(
            self._files,
            self._name,
            self._formatters.find,
            bool(self._formatters),
            self._remote_size,
            self._download,
        )
        return ingest_files(store, files, transfer)

    def _download(self, uri: str, place: str) -> None:
        from lakebutler.datastore.objects import download

        filesystem, path = self._remote(uri)
        download(filesystem, path, place)

    def _remote_size(self, uri: str) -> int:
        filesystem, path = self._remote(uri)
        try:
            return int(filesystem.info(path)["size"])
        except FileNotFoundError:
            raise DatasetNotFoundError(f"cannot ingest {uri}: no such file") from None
        except Exception as exc:
            raise StorageError(f"cannot ingest {uri}: {exc}") from exc

    def sync(self, paths: Iterable[str]) -> None:
        """Make written files durable, with their directories; before the commit.

        Parameters
        ----------
        paths : iterable of `str`
            Paths that `put` and `ingest` gave.
        """
        self._files.sync(paths)

    def rollback(self, paths: Iterable[str]) -> None:
        """Remove what was written and will not be committed.

        Parameters
        ----------
        paths : iterable of `str`
            Paths that `put` and `ingest` gave as written.
        """
        self._files.delete(paths)

    def finish(self, moves: Iterable[str]) -> None:
        """Remove originals of moved files, after the commit.

        Parameters
        ----------
        moves : iterable of `str`
            As `ingest` gave them.  An original that cannot be removed stays; the
            datasets are safe either way.
        """
        for original in moves:
            with contextlib.suppress(OSError):
                os.unlink(original)

    # ----------------------------------------------------------------- reading

    def get(
        self,
        ref: Any,
        record: FileRecord,
        *,
        component: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        storage_class: StorageClass | str | None = None,
        verify: bool | None = None,
    ) -> Any:
        """Read a dataset.

        Parameters
        ----------
        ref : `DatasetRef`
            The dataset.
        record : `FileRecord`
            Its file.
        component : `str`, optional
            Part to read; that of the reference's type by default.
        parameters : mapping, optional
            What to read of it.
        storage_class : `StorageClass` or `str`, optional
            What to return; ``Bytes`` and ``Path`` give the file as it is.
        verify : `bool`, optional
            Whether to check the file's SHA-256; the size is always checked.

        Returns
        -------
        obj : `object`
            Of the storage class's type.

        Raises
        ------
        FileIntegrityError
            Raised if the file is not the one that was recorded.
        DatasetNotFoundError
            Raised if it is missing; it is a `FileNotFoundError`.
        ExternalFileError
            Raised if it lies outside, where the caller has not allowed.
        FileFormatError
            Raised if it is not of its format.
        """
        if record.formatter == IN_PARTS and record.parts is not None:
            return self._get_parts(ref, record, component, parameters, storage_class, verify)
        plan = self._plan(ref, record, component, storage_class)
        return self._read(ref, record, plan, parameters, verify)

    def _get_parts(
        self,
        ref: Any,
        record: FileRecord,
        component: str | None,
        parameters: Mapping[str, Any] | None,
        wanted: StorageClass | str | None,
        verify: bool | None,
    ) -> Any:
        def read(part: FileRecord, plan: Plan, some: Mapping[str, Any] | None) -> Any:
            return self._read(ref, part, plan, some, verify)

        own, component, wanted = _asked(ref, component, wanted)
        reader = CompositeReader(ref, record, read, trust=self._trust)
        return reader.get(own, component, parameters, wanted)

    def _read(
        self,
        ref: Any,
        record: FileRecord,
        plan: Plan,
        parameters: Mapping[str, Any] | None,
        verify: bool | None,
    ) -> Any:
        """Read one file as a plan says."""
        partly = plan.component is not None or bool(parameters)
        on_disk = plan.formatter is None and plan.target.name == "Path"
        memory = 0 if on_disk else PARTLY if partly else IN_MEMORY
        content, place = self._open(ref, record, memory)
        try:
            if self._verify if verify is None else verify:
                self._verifier.check(content, record, place, ref)
            else:
                check_size(content, record, place, ref)
        except BaseException:
            _discard(content)
            raise
        return read_object(plan, content, parameters, place, lambda: describe(ref))

    def _plan(
        self, ref: Any, record: FileRecord, component: str | None, wanted: StorageClass | str | None
    ) -> Plan:
        own, component, wanted = _asked(ref, component, wanted)
        key = (record.formatter, own, component, wanted)
        plan = self._plans.get(key)
        if plan is None:
            plan = make_plan(record, own, component, wanted, self._trust)
            if len(self._plans) > 10_000:
                self._plans.clear()
            self._plans[key] = plan
        return plan

    def _open(self, ref: Any, record: FileRecord, memory: int) -> tuple[Content, str]:
        """Open the file of a dataset; gives its place for messages too."""
        if record.path is not None:
            path = check_stored_path(record.path)
            place = f"{self.root}/{path}"
            limit = memory if self._local is not None else max(memory, REMOTE_IN_MEMORY)
            return self._attempt(ref, place, lambda: self._files.read(path, limit)), place
        uri = record.uri
        if uri is None:
            raise RepositoryCorruptError(f"{describe(ref)}: its record names no file")
        if not self._allowed.permits(uri):
            self._allowed.require(uri, describe(ref))
        if uri.startswith("file://"):
            place = local_path_of_uri(uri)
            return self._attempt(ref, place, lambda: _open_local(place, memory)), place
        return self._attempt(ref, uri, lambda: self._fetch(uri, max(memory, REMOTE_IN_MEMORY))), uri

    def _attempt(self, ref: Any, place: str, act: Any) -> Content:
        try:
            content: Content = act()
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise missing(ref, place) from exc
        except (StorageError, PermissionError) as exc:
            if type(exc) is PermissionError:
                raise StorageError(f"{describe(ref)}: cannot read {place}: {exc.strerror}") from exc
            raise
        except RepositoryCorruptError as exc:
            raise RepositoryCorruptError(f"{describe(ref)}: {exc.message}", hint=exc.hint) from exc
        except OSError as exc:
            raise StorageError(f"{describe(ref)}: cannot read {place}: {exc.strerror or exc}") from exc
        return content

    def _remote(self, uri: str) -> tuple[Any, str]:
        """Filesystem of a URI; with the caller's options only where they were meant for it."""
        import fsspec

        same = uri.partition("://")[0] == self.root.partition("://")[0] and "://" in self.root
        options = self._options if same else {}
        found: tuple[Any, str] = fsspec.core.url_to_fs(uri, **options)
        return found

    def _fetch(self, uri: str, memory: int) -> Content:
        from lakebutler.datastore.objects import fetch

        filesystem, path = self._remote(uri)
        return fetch(filesystem, path, memory)

    def predict(self, ref: Any) -> str:
        """Path that a dataset would be written to.

        Parameters
        ----------
        ref : `DatasetRef`
            The dataset.

        Returns
        -------
        path : `str`
            Relative to the root.
        """
        return self._name(ref, self._writer(ref)[1][0].extension)

    def validate(self, dataset_types: Iterable[Any]) -> list[str]:
        """Check the settings against dataset types.

        Parameters
        ----------
        dataset_types : iterable of `DatasetType`
            Those of the repository.

        Returns
        -------
        problems : `list` [`str`]
            One line for each type whose storage class, formatter or delegate is unknown.
        """
        factory = StorageClassFactory()
        problems = []
        for dataset_type in dataset_types:
            try:
                storage_class = factory.getStorageClass(dataset_type.storageClass_name)
                for key in storage_class.formatters:
                    get_formatter(key, trust=True)
                _ = storage_class.delegateClass  # imports it
            except (FileFormatError, TypeError) as exc:
                problems.append(f"{dataset_type.name}: {getattr(exc, 'message', exc)}")
        return problems


def _asked(
    ref: Any, component: str | None, wanted: StorageClass | str | None
) -> tuple[str, str | None, StorageClass | str | None]:
    """Storage class of the whole, component and storage class that are asked for."""
    dataset_type = ref.datasetType
    own = dataset_type.storageClass_name
    part = dataset_type.component()
    if part is not None:
        wanted = own if wanted is None else wanted
        parent = dataset_type.parentStorageClass
        own = parent.name if parent is not None else own
    return own, component if component is not None else part, wanted


def _open_local(place: str, memory: int) -> Content:
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    return open_regular(descriptor, place, memory)


def _discard(content: Content) -> None:
    if content.stream is not None:
        content.stream.close()
    if content.temporary:
        with contextlib.suppress(OSError):
            os.unlink(content.path or "")
