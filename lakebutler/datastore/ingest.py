# SPDX-License-Identifier: BSD-3-Clause
"""Files that exist become the files of datasets."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from lakebutler.datasets.storage_class import StorageClassFactory
from lakebutler.datastore.files import Files, Written, checksum_of
from lakebutler.datastore.local import LocalFiles
from lakebutler.datastore.paths import check_new_path, file_uri, local_path_of_uri
from lakebutler.datastore.records import FileRecord
from lakebutler.datastore.transfer import LOCAL_ONLY, check_mode, read_small, regular_size
from lakebutler.errors import (
    DatasetNotFoundError,
    FileFormatError,
    NameRuleError,
    StorageClassError,
    StorageError,
)
from lakebutler.formatters.factory import (
    formatter_class,
    formatter_for_file,
    formatter_keys,
    key_of,
    parse_key,
)

__all__ = ["Ingested", "extension_for", "ingest_files"]

_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._+,=@~-\n"
_BATCH = 1000
_REQUESTS = 16
_NO_RECORD = FileRecord(None, None, "", "", 0, None)
_PACKED = frozenset({".gz", ".fz", ".bz2", ".xz"})
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,16}")


class Ingested(NamedTuple):
    """What an ingest did.

    Attributes
    ----------
    records : `list` [`FileRecord`]
        One for each file.
    written : `list` [`str`]
        Paths of files that were made: to be synced, or rolled back.
    moves : `list` [`str`]
        Originals to be removed after the commit.
    """

    records: list[FileRecord]
    written: list[str]
    moves: list[str]


class Ingest(NamedTuple):
    """What ingest needs of a datastore.

    Attributes
    ----------
    files : `Files`
        Where files go.
    name : callable
        Makes the path for a reference and an extension.
    formatter : callable
        Setting for a reference, or `None`.
    formatters_vary : `bool`
        There are such settings.
    remote_size : callable
        Size of the file of a URI.
    download : callable
        Copies the file of a URI to a local path.
    """

    files: Files
    name: Callable[[Any, str], str]
    formatter: Callable[[Any], str | None]
    formatters_vary: bool
    remote_size: Callable[[str], int]
    download: Callable[[str, str], None]


def ingest_files(store: Ingest, datasets: Sequence[Any], transfer: str | None) -> Ingested:
    """Bring files into a repository, or note where they are.

    Parameters
    ----------
    store : `Ingest`
        The datastore.
    datasets : sequence of `FileDataset`
        Files, each with its references.
    transfer : `str` or `None`
        How; see `lakebutler.datastore.transfer.MODES`.

    Returns
    -------
    done : `Ingested`
        Records and what is left to do.

    Raises
    ------
    DatasetNotFoundError
        Raised if a file is missing; what was made by then is removed.
    """
    mode = check_mode(transfer)
    if mode in LOCAL_ONLY and not isinstance(store.files, LocalFiles):
        raise StorageError(
            f"transfer={mode!r} needs a repository on the local disk", hint="use 'copy' or 'direct'"
        )
    keys = _Keys(store.formatter, vary=store.formatters_vary)
    if mode == "direct":
        return Ingested(_direct(store, datasets, keys), [], [])
    done = Ingested([], [], [])
    try:
        if isinstance(store.files, LocalFiles) and mode in {"auto", "copy"}:
            _copied(store, store.files, datasets, mode, keys, done)
        elif isinstance(store.files, LocalFiles) or len(datasets) == 1:
            for dataset in datasets:
                _one(store, dataset, mode, keys, done)
        else:
            _together(store, datasets, mode, keys, done)
    except BaseException:
        store.files.delete(done.written)
        raise
    return done


def _together(store: Ingest, datasets: Sequence[Any], mode: str | None, keys: _Keys, done: Ingested) -> None:
    """Many requests at a time, where each has to wait for an answer."""
    from concurrent.futures import ThreadPoolExecutor

    parts = [Ingested([], [], []) for _ in datasets]
    with ThreadPoolExecutor(_REQUESTS) as pool:
        futures = [
            pool.submit(_one, store, dataset, mode, keys, part)
            for dataset, part in zip(datasets, parts, strict=True)
        ]
        failed = [future.exception() for future in futures]
    for part in parts:
        done.records.extend(part.records)
        done.written.extend(part.written)
        done.moves.extend(part.moves)
    for error in failed:
        if error is not None:
            raise error


class _Keys:
    """Formatters for files, remembered by what decides about them."""

    def __init__(self, override: Callable[[Any], str | None], *, vary: bool) -> None:
        self._override = override
        self.vary = vary
        self._given: dict[Any, str] = {}
        self._found: dict[tuple[int, str], tuple[str, str]] = {}
        self._types: list[Any] = []

    def find(self, dataset: Any, path: str) -> tuple[str, str]:
        """Key of the formatter, and name of the storage class."""
        ref = dataset.refs[0]
        dataset_type = ref.datasetType
        given = dataset.formatter
        if given is not None:
            key = self._given.get(given)
            if key is None:
                key = self._given[given] = key_of(given)
            return key, dataset_type.storageClass_name
        override = self._override(ref)
        if override is not None:
            return override, dataset_type.storageClass_name
        decides = (
            id(dataset_type),
            path[path.rfind(".") - 5 :] if path.endswith("z") else path[path.rfind(".") :],
        )
        found = self._found.get(decides)
        if found is None:
            self._types.append(dataset_type)  # keeps the id its own
            name = dataset_type.storageClass_name
            found = self._found[decides] = (_choose(dataset_type, path), sys.intern(name))
        return found


def _choose(dataset_type: Any, path: str) -> str:
    try:
        candidates: Sequence[str] = (
            StorageClassFactory().getStorageClass(dataset_type.storageClass_name).formatters
        )
    except StorageClassError:
        candidates = ()
    key = formatter_for_file(candidates, path)
    if key is None:
        key = next(
            (k for k in formatter_keys() if formatter_class(k).needs_trust is False and _reads(k, path)),
            "file",
        )
    return key


def _reads(key: str, path: str) -> bool:
    cls = formatter_class(key)
    return path.lower().endswith((cls.extension, *cls.extensions))


def _direct(store: Ingest, datasets: Sequence[Any], keys: _Keys) -> list[FileRecord]:
    """Note where files are; the fast way for many."""
    records: list[FileRecord] = []
    for start in range(0, len(datasets), _BATCH):
        batch = datasets[start : start + _BATCH]
        paths = [dataset.path for dataset in batch]
        if _all_simple(paths):
            _direct_simple(batch, paths, keys, records)
        else:
            records += [_direct_any(store, dataset, keys) for dataset in batch]
    return records


def _all_simple(paths: list[Any]) -> bool:
    """Whether all are absolute, normal local paths that need no quoting in a URI.

    The paths are looked at together: that takes a hundredth of the time that a
    regular expression on each takes.
    """
    try:
        joined = "\n".join(paths).encode("ascii")
    except (TypeError, UnicodeEncodeError):
        return False
    return (
        not joined.translate(None, _PLAIN)
        and joined.startswith(b"/")
        and joined.count(b"\n") == joined.count(b"\n/") == len(paths) - 1
        and b"//" not in joined
        and b"/." not in joined
        and b"/\n" not in joined
        and not joined.endswith(b"/")
    )


def _direct_simple(batch: Sequence[Any], paths: list[str], keys: _Keys, records: list[FileRecord]) -> None:
    """Note where files are whose paths are simple: little more than one `os.stat` each."""
    stat, new, append = os.stat, tuple.__new__, records.append
    known_type: Any = None
    known_formatter: Any = None
    ending = "\0"
    key = storage_class = ""
    for dataset, path in zip(batch, paths, strict=True):
        try:
            found = stat(path)
        except OSError:
            regular_size(path)  # says what is wrong
            raise
        if found.st_mode & 0o170000 != 0o100000:
            regular_size(path)
        dataset_type = dataset.refs[0].datasetType
        formatter = dataset.formatter
        if dataset_type is not known_type or formatter != known_formatter or not path.endswith(ending):
            key, storage_class = keys.find(dataset, path)
            if not keys.vary:
                known_type, known_formatter = dataset_type, formatter
                ending = "" if formatter is not None else _ending(path)
        append(new(FileRecord, (None, "file://" + path, key, storage_class, found.st_size, None)))


def _copied(
    store: Ingest, files: LocalFiles, datasets: Sequence[Any], mode: str, keys: _Keys, done: Ingested
) -> None:
    """Copy files from disk to disk: small ones one after the other, then large ones together."""
    large: list[int] = []
    for start in range(0, len(datasets), _BATCH):
        batch = datasets[start : start + _BATCH]
        paths = [dataset.path for dataset in batch]
        if _all_simple(paths) and (mode == "copy" or not any(map(files.relative, paths))):
            large += [start + i for i in _copied_simple(store, batch, paths, keys, done)]
        else:
            for dataset in batch:
                _one(store, dataset, mode, keys, done)
    if large:
        part = Ingested([], [], [])
        try:
            _together(store, [datasets[i] for i in large], "copy", keys, part)
        finally:
            done.written.extend(part.written)
        for i, record in zip(large, part.records, strict=True):
            done.records[i] = record


def _copied_simple(
    store: Ingest, batch: Sequence[Any], paths: list[Any], keys: _Keys, done: Ingested
) -> list[int]:
    """Copy small files whose paths are simple; gives the places of the large ones, with empty records."""
    large: list[int] = []
    create, name, new, sha256 = store.files.create, store.name, tuple.__new__, hashlib.sha256
    records, written = done.records.append, done.written.append
    known_type: Any = None
    known_formatter: Any = None
    ending = "\0"
    key = storage_class = extension = ""
    for i, (dataset, path) in enumerate(zip(batch, paths, strict=True)):
        ref = dataset.refs[0]
        formatter = dataset.formatter
        if ref.datasetType is not known_type or formatter != known_formatter or not path.endswith(ending):
            key, storage_class = keys.find(dataset, path)
            extension = extension_for(key, path)
            known_type = None if keys.vary else ref.datasetType
            known_formatter = formatter
            ending = _ending(path)
        data = read_small(path)
        if data is None:
            large.append(i)
            records(_NO_RECORD)
            continue
        place = create(name(ref, extension), data)
        written(place)
        checksum = "sha256:" + sha256(data).hexdigest()
        records(new(FileRecord, (place, None, key, storage_class, len(data), checksum)))
    return large


def _direct_any(store: Ingest, dataset: Any, keys: _Keys) -> FileRecord:
    local, uri = _place(dataset)
    size = regular_size(local) if local is not None else store.remote_size(uri)
    key, storage_class = keys.find(dataset, uri)
    return FileRecord(None, uri if local is None else file_uri(local), key, storage_class, size, None)


def _ending(path: str) -> str:
    """The extension, with the one before it if the file is packed."""
    stem, extension = os.path.splitext(path)
    if extension in _PACKED:
        extension = os.path.splitext(stem)[1] + extension
    return extension or path.rpartition("/")[2]


def _place(dataset: Any) -> tuple[str | None, str]:
    """Local absolute path, if it is one, and the path or URI of a file."""
    text = dataset.path if isinstance(dataset.path, str) else dataset.location()
    if text.startswith("file://"):
        path = local_path_of_uri(text)
    elif "://" in text:
        return None, text
    else:
        path = os.path.abspath(text)
    if "\0" in path:
        raise NameRuleError(f"a file cannot have the path {path!r}")
    return path, path


def _one(store: Ingest, dataset: Any, mode: str | None, keys: _Keys, done: Ingested) -> None:
    inside = _inside(store.files, dataset) if mode in {None, "auto", "split"} else None
    if inside is not None:
        size = store.files.size(inside)
        if size is None:
            raise DatasetNotFoundError(f"cannot ingest {inside}: no such file in {store.files.url}")
        key, storage_class = keys.find(dataset, inside)
        done.records.append(FileRecord(inside, None, key, storage_class, size, None))
        return
    local, uri = _place(dataset)
    if mode is None:
        raise StorageError(
            f"{dataset.location()} does not lie in the repository {store.files.url}",
            hint="say what is to happen with it: transfer='copy', 'move', 'direct', ...",
        )
    key, storage_class = keys.find(dataset, uri)
    if mode == "split":
        size = regular_size(local) if local is not None else store.remote_size(uri)
        done.records.append(
            FileRecord(None, file_uri(local) if local else uri, key, storage_class, size, None)
        )
        return
    if local is None and (mode in LOCAL_ONLY or mode == "move"):
        raise StorageError(f"transfer={mode!r} needs local files, not {uri}", hint="use 'copy' or 'direct'")
    path = store.name(dataset.refs[0], extension_for(key, uri))
    written = _brought(store.files, local, path, mode) if local is not None else _fetched(store, uri, path)
    done.written.append(written.path)
    if mode == "move" and local is not None:
        done.moves.append(local)
    done.records.append(FileRecord(written.path, None, key, storage_class, written.size, written.checksum))


def _brought(files: Files, source: str, path: str, mode: str) -> Written:
    """Bring in a local file; a small one that is to be copied by way of memory."""
    if mode in {"auto", "copy"}:
        data = read_small(source)
        if data is not None:
            return Written(files.create(path, data), len(data), checksum_of(data))
    else:
        regular_size(source)
    return files.bring(source, path, mode)


def _fetched(store: Ingest, uri: str, path: str) -> Written:
    """Bring in a file from elsewhere, by way of the local disk."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="lakebutler-") as scratch:
        local = os.path.join(scratch, "file")
        store.download(uri, local)
        return store.files.bring(local, path, "copy")


def _inside(files: Files, dataset: Any) -> str | None:
    """Path relative to the root, of a file that lies below it."""
    text = dataset.path if isinstance(dataset.path, str) else dataset.location()
    if text.startswith("file://"):
        text = local_path_of_uri(text)
    if "://" in text:
        prefix = files.url + "/"
        return check_new_path(text[len(prefix) :]) if text.startswith(prefix) else None
    if not isinstance(files, LocalFiles):
        return None if os.path.isabs(text) else check_new_path(os.path.normpath(text))
    if not os.path.isabs(text):
        below = os.path.normpath(text)
        if not below.startswith("..") and os.path.lexists(os.path.join(files.url, below)):
            return check_new_path(below)
    place = os.path.abspath(text)
    relative = files.relative(place)
    if relative is None:
        return None
    check_new_path(relative)
    files.local_path(relative)
    return relative


def extension_for(key: str, name: str) -> str:
    """End of the new name for a file that is brought in.

    Parameters
    ----------
    key : `str`
        Key of its formatter.
    name : `str`
        Its path or URI.

    Returns
    -------
    extension : `str`
        That of the file, if it has one; with the dot.
    """
    lower = name.lower()
    try:
        known, first = _extensions(key)
    except FileFormatError:
        known, first = (), ".dat"
    for extension in known:
        if lower.endswith(extension):
            return extension
    match = _ENDING.fullmatch(os.path.splitext(lower)[1])
    return match.group() if match is not None else first


@lru_cache(maxsize=256)
def _extensions(key: str) -> tuple[tuple[str, ...], str]:
    """Extensions that a formatter knows, the longest first, and the one for a file without."""
    cls = formatter_class(parse_key(key)[0])
    known = (cls.extension, *cls.extensions)
    return tuple(sorted(known, key=len, reverse=True)), cls.extension
