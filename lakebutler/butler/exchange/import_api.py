# SPDX-License-Identifier: BSD-3-Clause
"""`Butler.import_`: find the export, read it, and add it in one commit."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from lakebutler.butler.exchange.import_files import Target, add_incoming, place_paths
from lakebutler.butler.exchange.import_records import Incoming, read_document
from lakebutler.butler.exchange.import_yaml import load_yaml
from lakebutler.config import normalise_root, place_text
from lakebutler.errors import DatasetNotFoundError, FileFormatError, StorageError, known_names

__all__ = ["FORMATS", "check_format", "find_export", "import_export"]

FORMATS = ("yaml", "parquet")
"""Formats of exports: the field's, and ours."""


def check_format(format: str | None, filename: Any) -> str:
    """Choose the format of an export.

    Parameters
    ----------
    format : `str` or `None`
        What the caller says, with or without a dot.
    filename : `str` or path-like or file-like or `None`
        Its name.

    Returns
    -------
    format : `str`
        One of `FORMATS`.

    Raises
    ------
    FileFormatError
        Raised if there is no such format.
    """
    given = format
    if given is None:
        name = os.fspath(filename) if isinstance(filename, str | os.PathLike) else ""
        ending = os.path.splitext(str(name).rstrip("/"))[1]
        given = ending if ending.lstrip(".") in ("yaml", "yml", "parquet") else "yaml"
    chosen = given.lstrip(".").lower()
    chosen = "yaml" if chosen == "yml" else chosen
    if chosen not in FORMATS:
        raise FileFormatError(
            f"exports have no format {format!r}", hint=known_names(chosen, FORMATS, what="formats")
        )
    return chosen


def find_export(
    directory: str | os.PathLike[str] | None, filename: str | os.PathLike[str] | None, format: str
) -> str:
    """Find the export file.

    Parameters
    ----------
    directory : `str` or path-like or `None`
        Where to look first for a relative name.
    filename : `str` or path-like or `None`
        Its name; ``export.yaml`` or ``export.parquet`` if not given.
    format : `str`
        One of `FORMATS`.

    Returns
    -------
    place : `str`
        Absolute path or URL.

    Raises
    ------
    DatasetNotFoundError
        Raised if there is none; it is a `FileNotFoundError`.
    """
    name = place_text(filename) if filename is not None else f"export.{format}"
    tried = []
    if directory is not None and "://" not in name and not os.path.isabs(name):
        tried.append(f"{normalise_root(directory)}/{name}")
    tried.append(normalise_root(name))
    for place in tried:
        if "://" in place:
            return place
        if os.path.exists(place):
            return place
    raise DatasetNotFoundError(
        f"there is no export {' and no '.join(tried)}", hint="give its name with filename= (--export-file)"
    )


def import_export(
    target: Target,
    *,
    directory: str | os.PathLike[str] | None,
    filename: Any,
    format: str | None,
    transfer: str | None,
    skip_dimensions: Iterable[Any] | None,
    without_datastore: bool,
) -> int:
    """Import an export; see `Butler.import_`.

    Parameters
    ----------
    target : `Target`
        The repository.
    directory, filename, format, transfer, skip_dimensions, without_datastore
        As for `Butler.import_`.

    Returns
    -------
    count : `int`
        Number of datasets in the export.
    """
    target.repository.session.require_writeable("import an export")
    directory, filename = place_text(directory), place_text(filename)
    chosen = check_format(format, filename)
    if chosen == "parquet":
        from lakebutler.butler.exchange.import_parquet import read_parquet_export

        incoming = read_parquet_export(find_export(directory, filename, chosen), target.registry.universe)
    else:
        incoming = _read_yaml(target, directory, filename)
    names = {element if isinstance(element, str) else element.name for element in skip_dimensions or ()}
    for name in names:
        target.registry.universe[name]  # names one that does not exist
    if without_datastore:
        incoming.files.clear()
    else:
        incoming.files[:] = place_paths(incoming.files, directory, target)
    add_incoming(target, incoming, transfer, op="import", skip_elements=names)
    return incoming.bundle.count()


def _read_yaml(target: Target, directory: Any, filename: Any) -> Incoming:
    registry = target.registry

    def registered(name: str) -> Any:
        return registry.types.find(registry.snapshot, name)

    if filename is not None and not isinstance(filename, str | os.PathLike):
        document = load_yaml(filename, "the export")
        return read_document(document, registry.universe, registered, "the export")
    place = find_export(directory, filename, "yaml")
    if "://" in place:
        import fsspec

        opened = fsspec.open(place, "rb", **_options(target, place))
    else:
        opened = open(place, "rb")  # noqa: SIM115 - closed below, as the other one
    try:
        with opened as stream:
            document = load_yaml(stream, place)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"cannot read {place}: {error.strerror or error}") from error
    return read_document(document, registry.universe, registered, place)


def _options(target: Target, place: str) -> dict[str, Any]:
    """Options of the repository, only for places of its own kind."""
    same = target.repository.root.partition("://")[0] == place.partition("://")[0]
    return dict(target.repository.opening.storage_options or {}) if same else {}
