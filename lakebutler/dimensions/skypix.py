# SPDX-License-Identifier: BSD-3-Clause
"""Pixelizations of the sky as systems of dimensions; geometry comes from lsst-sphgeom."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from lakebutler.dimensions.topology import TopologicalFamily, TopologicalSpace
from lakebutler.errors import DimensionNameError

if TYPE_CHECKING:
    from lakebutler.dimensions.elements import SkyPixDimension

__all__ = ["MAX_LEVELS", "SkyPixSystem"]

MAX_LEVELS: Final = {"htm": 24, "healpix": 17, "q3c": 30, "mq3c": 30}
"""Pixelizations that there are, and the finest level of each."""


@lru_cache(maxsize=64)
def _pixelization(system: str, level: int) -> Any:
    from lsst import sphgeom

    if system == "htm":
        return sphgeom.HtmPixelization(level)
    if system == "healpix":
        return sphgeom.HealpixPixelization(level)
    if system == "q3c":
        return sphgeom.Q3cPixelization(level)
    return sphgeom.Mq3cPixelization(level)


class SkyPixSystem(TopologicalFamily):
    """All levels of one pixelization.

    Parameters
    ----------
    name : `str`
        Key of `MAX_LEVELS`.
    levels : `range`
        Levels that are dimensions.
    """

    __slots__ = ("_dimensions", "levels")

    def __init__(self, name: str, levels: range) -> None:
        super().__init__(name, TopologicalSpace.SPATIAL)
        self.levels = levels
        self._dimensions: dict[int, SkyPixDimension] = {}

    def _set_dimensions(self, dimensions: dict[int, SkyPixDimension]) -> None:
        self._dimensions = dimensions
        self._set_members(tuple(dimensions[level] for level in sorted(dimensions, reverse=True)))

    def __getitem__(self, level: int) -> SkyPixDimension:
        try:
            return self._dimensions[level]
        except KeyError:
            raise DimensionNameError(
                f"there is no dimension {self.name}{level}",
                hint=f"levels of {self.name} go from {self.levels[0]} to {self.levels[-1]}",
            ) from None

    def __iter__(self) -> Iterator[int]:
        return iter(self._dimensions)

    def __len__(self) -> int:
        return len(self._dimensions)

    def pixelization(self, level: int) -> Any:
        """Geometry of a level.

        Parameters
        ----------
        level : `int`
            Level of detail.

        Returns
        -------
        pixelization : `lsst.sphgeom.Pixelization`
            Made once.
        """
        return _pixelization(self.name, level)

    def __repr__(self) -> str:
        return f"SkyPixSystem({self.name})"
