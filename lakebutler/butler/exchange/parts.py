# SPDX-License-Identifier: BSD-3-Clause
"""Datasets in parts on their way from one repository to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datasets.storage_class import StorageClassFactory
from lakebutler.datasets.stored_parts import COMPONENT_MAX, StoredPart, join_parts, parts_of
from lakebutler.datastore.records import FileRecord
from lakebutler.errors import FileFormatError

__all__ = ["IncomingPart", "check_part", "each_file", "is_absolute", "part_ref", "relocated"]


class IncomingPart(NamedTuple):
    """Which part of a dataset a file is.

    Attributes
    ----------
    component : `str`
        Name of the component.
    storage_class : `str`
        Name of its storage class.
    composite : `str`
        Name of the storage class of the whole.
    """

    component: str
    storage_class: str
    composite: str


def check_part(part: IncomingPart, what: str) -> IncomingPart:
    """Refuse what cannot be a part of a dataset.

    Parameters
    ----------
    part : `IncomingPart`
        As an export names it.
    what : `str`
        The file, for the message.

    Returns
    -------
    part : `IncomingPart`
        The same.

    Raises
    ------
    FileFormatError
        Raised if its name is none of a component, or the whole is known to have no components.
    """
    known = StorageClassFactory()
    if not part.component.isidentifier() or len(part.component) > COMPONENT_MAX:
        raise FileFormatError(f"{what}: {part.component[:50]!r} is not the name of a component")
    if part.composite in known and not known.getStorageClass(part.composite).isComposite():
        raise FileFormatError(
            f"{what} is the part {part.component!r} of a dataset, "
            f"but storage class {part.composite!r} has no parts"
        )
    return part


def each_file(record: FileRecord) -> Iterator[tuple[IncomingPart | None, FileRecord]]:
    """Yield the files of a dataset.

    Parameters
    ----------
    record : `FileRecord`
        Its record.

    Yields
    ------
    part : `IncomingPart` or `None`
        Which part it is; `None` for the only file.
    file : `FileRecord`
        A file.
    """
    parts = record.parts
    if parts is None:
        yield None, record
        return
    for name, file in parts.items():
        yield IncomingPart(name, file.storage_class, record.storage_class), file


def part_ref(ref: DatasetRef, part: IncomingPart) -> DatasetRef:
    """Make the reference of a component; its storage classes need not be known here.

    Parameters
    ----------
    ref : `DatasetRef`
        The dataset.
    part : `IncomingPart`
        The part.

    Returns
    -------
    ref : `DatasetRef`
        With the same ID.
    """
    return DatasetRef(_part_type(ref.datasetType, part), ref.dataId, run=ref.run, id=ref.id, conform=False)


@lru_cache(maxsize=1024)
def _part_type(kind: DatasetType, part: IncomingPart) -> DatasetType:
    return DatasetType(
        f"{kind.name}.{part.component}",
        kind.dimensions,
        part.storage_class,
        part.composite,
        isCalibration=kind.isCalibration(),
    )


def is_absolute(place: str) -> bool:
    """Whether a place in an export is no path below its directory."""
    return "://" in place or place.startswith("/")


def relocated(text: str, place: Callable[[StoredPart], str]) -> str:
    """Say of each file of a dataset that it is somewhere else.

    Parameters
    ----------
    text : `str`
        Path or URI that stands for its files; see `lakebutler.datasets.stored_parts`.
    place : callable
        Gives the new path or URI of a component's file.

    Returns
    -------
    text : `str`
        The same with the new places.
    """
    moved = {}
    for name, part in parts_of(text).items():
        new = place(part)
        outside = is_absolute(new)
        moved[name] = part._replace(path=None if outside else new, uri=new if outside else None)
    path, uri = join_parts(moved)
    return path or uri or ""
