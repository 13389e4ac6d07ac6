# SPDX-License-Identifier: BSD-3-Clause
"""What a user may decide about a conversion."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["MODES", "Options"]

MODES = ("direct", "copy", "hardlink", "link", "symlink", "relsymlink")
"""What can happen to the files; the source keeps them always."""


@dataclass(frozen=True)
class Options:
    """Decisions.

    Attributes
    ----------
    transfer : `str`
        One of `MODES`.
    layout : `str` or `None`
        A layout file of the user's.
    mapper : `str` or `None`
        The mapper's name, where the repository does not say.
    calib_root : `str` or `None`
        Where the calibrations are, where the repository does not say.
    label : `str` or `None`
        Stands in the names of collections of calibrations.
    curated : `bool`
        Convert types that are usually written from curated data.
    gaps, overlaps : `str`
        What happens to gaps and overlaps of validity ranges.
    trust : `str`
        Who is right where header and registry differ: ``header`` or ``registry``.
    headers : `bool`
        Read a header of each exposure.
    registry : `bool`
        Read the registry of raws.
    types, without : `tuple` [`str`]
        Globs of dataset types: only these; not these.
    visits, detectors, tracts : `frozenset` [`int`] or `None`
        Only these.
    skymap : `str` or `None`
        Name of a skymap, a file that describes one, or ``NAME=FILE``.
    define_visits : `bool`
        Define visits of all exposures of the sky, with regions; else only those that files
        name, without.
    count_unopened : `bool`
        List every file in directories that no template leads to, too.
    filters : mapping
        Name of a filter or band here, by the name in the old repository.
    reruns : `tuple` [`str`]
        Globs of reruns.
    parents : `bool`
        Convert the parents, too.
    """

    transfer: str = "direct"
    layout: str | None = None
    mapper: str | None = None
    calib_root: str | None = None
    label: str | None = None
    curated: bool = False
    gaps: Literal["close", "keep", "fail"] = "close"
    overlaps: Literal["next-start", "midpoint", "fail"] = "next-start"
    trust: Literal["header", "registry"] = "header"
    headers: bool = True
    registry: bool = True
    types: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    visits: frozenset[int] | None = None
    detectors: frozenset[int] | None = None
    tracts: frozenset[int] | None = None
    skymap: str | None = None
    define_visits: bool = True
    count_unopened: bool = False
    filters: Mapping[str, str] = field(default_factory=dict)
    reruns: tuple[str, ...] = ("*",)
    parents: bool = True

    def wants(self, dataset_type: str) -> bool:
        """Whether a dataset type is asked for."""
        named = not self.types or any(fnmatch.fnmatchcase(dataset_type, glob) for glob in self.types)
        return named and not any(fnmatch.fnmatchcase(dataset_type, glob) for glob in self.without)
