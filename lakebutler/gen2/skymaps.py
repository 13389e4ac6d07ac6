# SPDX-License-Identifier: BSD-3-Clause
"""Patches of old data IDs, ``x,y``, as the numbers that they have in a skymap.

The old repositories have their skymaps as pickles, which are never loaded here.  A skymap
is one that the new repository has already, or a small file that says how many patches the
tracts have.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakebutler.errors import RepositoryFormatError, known_names
from lakebutler.gen2.safe_yaml import load_yaml

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler

__all__ = ["PatchGrid", "find_grid"]


@dataclass(frozen=True)
class PatchGrid:
    """Which patches the tracts of a skymap have.

    Attributes
    ----------
    name : `str`
        Name of the skymap.
    shapes : mapping
        Number of patches along x and y, by tract.
    default : `tuple` [`int`] or `None`
        That of all other tracts; `None` if there are no others.
    registered : `bool`
        Whether the new repository has its records.
    """

    name: str
    shapes: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    default: tuple[int, int] | None = None
    registered: bool = False

    def has_tract(self, tract: int) -> bool:
        """Whether there is such a tract."""
        return tract in self.shapes or (self.default is not None and tract >= 0)

    def patch(self, tract: int, x: int, y: int) -> int | None:
        """Number a patch: row by row.

        Parameters
        ----------
        tract : `int`
            Its tract.
        x, y : `int`
            Column and row in the tract.

        Returns
        -------
        patch : `int` or `None`
            ``nx * y + x``; `None` if the tract has no such patch.
        """
        shape = self.shapes.get(tract, self.default)
        if shape is None or not (0 <= x < shape[0] and 0 <= y < shape[1]):
            return None
        return shape[0] * y + x

    def records(self, tracts: Iterable[int]) -> dict[str, list[dict[str, Any]]]:
        """Make the records of some tracts; without regions, which need the projection.

        Parameters
        ----------
        tracts : iterable of `int`
            The tracts.

        Returns
        -------
        records : `dict`
            Values by element; none if they are registered.
        """
        if self.registered:
            return {}
        none = self.default or (0, 0)
        shapes = {tract: self.shapes.get(tract, none) for tract in sorted(set(tracts))}
        told = {"name": self.name, "shapes": sorted(self.shapes.items()), "default": self.default}
        every = [*self.shapes.values(), *([self.default] if self.default else [])]
        skymap = {
            "name": self.name,
            "hash": hashlib.sha1(json.dumps(told).encode(), usedforsecurity=False).digest(),
            "tract_max": max([*self.shapes, *shapes], default=0) + 1,
            "patch_nx_max": max((nx for nx, _ in every), default=0),
            "patch_ny_max": max((ny for _, ny in every), default=0),
        }
        patches = [
            {"skymap": self.name, "tract": tract, "id": nx * y + x, "cell_x": x, "cell_y": y}
            for tract, (nx, ny) in shapes.items()
            for y in range(ny)
            for x in range(nx)
        ]
        return {
            "skymap": [skymap],
            "tract": [{"skymap": self.name, "id": tract} for tract in shapes],
            "patch": patches,
        }


def find_grid(given: str | None, butler: Butler | None) -> PatchGrid | None:
    """Find the skymap that the user names.

    Parameters
    ----------
    given : `str` or `None`
        Name of a skymap, or path of a file.
    butler : `Butler` or `None`
        The new repository, if it is there.

    Returns
    -------
    grid : `PatchGrid` or `None`
        `None` if none is named.

    Raises
    ------
    RepositoryFormatError
        Raised if there is none, or the file is wrong.
    """
    if given is None:
        return None
    if given.endswith((".yaml", ".yml")) or os.sep in given:
        return _of_file(given)
    known = [] if butler is None else butler.query_dimension_records("skymap", explain=False, limit=None)
    names = [str(record.toDict()["name"]) for record in known]
    if butler is None or given not in names:
        hint = known_names(given, names, what="skymaps") if names else "the new repository has none yet"
        raise RepositoryFormatError(
            f"the new repository has no skymap {given!r}",
            hint=f"{hint}; register it first, or describe it: --skymap FILE.yaml (docs/convert-gen2.md)",
        )
    shapes: dict[int, tuple[int, int]] = {}
    for record in butler.query_dimension_records("patch", skymap=given, explain=False, limit=None):
        row = record.toDict()
        nx, ny = shapes.get(row["tract"], (0, 0))
        shapes[row["tract"]] = max(nx, row["cell_x"] + 1), max(ny, row["cell_y"] + 1)
    return PatchGrid(given, shapes, registered=True)


def _of_file(path: str) -> PatchGrid:
    data = load_yaml(path)
    try:
        name, patches = str(data["name"]), dict(data["patches"])
        shapes = {
            tract: (int(shape[0]), int(shape[1])) for tract, shape in patches.items() if tract != "default"
        }
        default = patches.get("default")
        return PatchGrid(
            name,
            {int(tract): shape for tract, shape in shapes.items()},
            (int(default[0]), int(default[1])) if default else None,
        )
    except (KeyError, TypeError, ValueError, IndexError):
        raise RepositoryFormatError(
            f"{path} describes no skymap",
            hint="name: NAME, and patches: {default: [NX, NY], TRACT: [NX, NY]}",
        ) from None
