# SPDX-License-Identifier: BSD-3-Clause
"""Families of elements that lie in the same space: on the sky, or in time."""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakebutler.dimensions.elements import DimensionElement

__all__ = ["TopologicalFamily", "TopologicalSpace"]


class TopologicalSpace(enum.Enum):
    """A space in which regions can overlap."""

    SPATIAL = enum.auto()
    """The sky; regions of `lsst.sphgeom`."""

    TEMPORAL = enum.auto()
    """Time; `~lakebutler.timespan.Timespan`."""


class TopologicalFamily:
    """Elements whose regions are cut from the same thing, in levels of detail.

    Parameters
    ----------
    name : `str`
        Name of the family.
    space : `TopologicalSpace`
        Where its regions lie.

    Notes
    -----
    Two elements of one family are never joined by overlap: their keys already
    say how they belong together.
    """

    __slots__ = ("_members", "name", "space")

    def __init__(self, name: str, space: TopologicalSpace) -> None:
        self.name = name
        self.space = space
        self._members: tuple[DimensionElement, ...] = ()

    def _set_members(self, members: tuple[DimensionElement, ...]) -> None:
        self._members = members

    @property
    def members(self) -> tuple[DimensionElement, ...]:
        """The elements, from the finest to the coarsest."""
        return self._members

    def choose(self, elements: Collection[str]) -> DimensionElement:
        """Pick the finest member that is present.

        Parameters
        ----------
        elements : collection of `str`
            Names of the elements that are present, or a `DimensionGroup`.

        Returns
        -------
        element : `DimensionElement`
            The member.
        """
        names = getattr(elements, "elements", elements)
        for member in self._members:
            if member.name in names:
                return member
        raise RuntimeError(f"no member of {self.name} among {elements}")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TopologicalFamily):
            return self.name == other.name and self.space is other.space
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.name, self.space))

    def __repr__(self) -> str:
        return f"TopologicalFamily({self.name})"
