# SPDX-License-Identifier: BSD-3-Clause
"""Collections as values: their types, and what is known of one."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from lakebutler.errors import CollectionTypeError, known_names

__all__ = ["CollectionInfo", "CollectionType"]


class CollectionType(enum.IntEnum):
    """What a collection can hold, and how."""

    RUN = 1
    """Where datasets are made; each belongs to exactly one, for good."""

    TAGGED = 2
    """A choice of datasets; one of each type and data ID at most."""

    CHAINED = 3
    """An ordered list of other collections, searched one after the other."""

    CALIBRATION = 4
    """Datasets that are valid for a range of time each."""

    @classmethod
    def all(cls) -> frozenset[CollectionType]:
        """All types.

        Returns
        -------
        types : `frozenset` [`CollectionType`]
            The four.
        """
        return frozenset(cls)

    @classmethod
    def from_name(cls, name: str) -> CollectionType:
        """Find a type by name.

        Parameters
        ----------
        name : `str`
            Its name, upper or lower case.

        Returns
        -------
        kind : `CollectionType`
            The type.

        Raises
        ------
        CollectionTypeError
            If there is none of this name.
        """
        try:
            return cls[name.upper()]
        except (KeyError, AttributeError):
            raise CollectionTypeError(
                f"{name!r} is no type of collection", hint=known_names(str(name), [t.name for t in cls])
            ) from None

    @classmethod
    def from_names(cls, names: Iterable[str] | None) -> frozenset[CollectionType]:
        """Find types by name.

        Parameters
        ----------
        names : iterable of `str`, optional
            Their names, upper or lower case.

        Returns
        -------
        types : `frozenset` [`CollectionType`]
            All types, if no name is given.
        """
        return frozenset(cls.from_name(name) for name in names or ()) or cls.all()

    def __repr__(self) -> str:
        return f"CollectionType.{self.name}"

    def __str__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:
        return format(self.name, spec)


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """What is known of a collection."""

    name: str
    """Name of the collection."""

    type: CollectionType
    """Type of the collection."""

    doc: str = ""
    """What it is for."""

    children: tuple[str, ...] = ()
    """Members of a chain, in search order."""

    parents: frozenset[str] | None = None
    """Chains that have it as a direct member; `None` if nobody looked."""

    dataset_types: frozenset[str] | None = None
    """Names of the dataset types in it; `None` if nobody looked."""

    def __lt__(self, other: CollectionInfo) -> bool:
        return self.name < other.name
