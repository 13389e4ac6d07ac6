# SPDX-License-Identifier: BSD-3-Clause
"""Visits of a converted repository, with their regions on the sky.

They are defined as ``define-visits`` would define them; and every exposure that processed
files name as their visit is one, whatever the rules of its camera say.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.instruments.cameras.camera import VISIT_SYSTEMS, Camera
from lakebutler.instruments.visits.changes import VisitChanges, pointing_of
from lakebutler.instruments.visits.define import on_sky
from lakebutler.instruments.visits.groups import VisitDefinition, group_exposures
from lakebutler.instruments.visits.regions import Footprints

__all__ = ["Visits", "plan_visits"]

_ONE = VISIT_SYSTEMS["one-to-one"]


@dataclass
class Visits:
    """Visits that are to be defined.

    Attributes
    ----------
    camera : `Camera`
        Their camera.
    definitions : `list` [`VisitDefinition`]
        One for each.
    notes : `list` [`str`]
        What a person should know.
    """

    camera: Camera
    definitions: list[VisitDefinition] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def systems(self) -> list[int]:
        """Numbers of the visit systems that they belong to."""
        return sorted(set().union(*(visit.systems for visit in self.definitions)))

    def system_records(self) -> list[dict[str, Any]]:
        """Make the records of their visit systems."""
        names = {number: name for name, number in VISIT_SYSTEMS.items()}
        return [
            {"instrument": self.camera.name, "id": number, "name": names[number]} for number in self.systems
        ]

    def changes(self, universe: DimensionUniverse) -> VisitChanges:
        """Compute their records and regions.

        Parameters
        ----------
        universe : `DimensionUniverse`
            Dimensions of the new repository.

        Returns
        -------
        changes : `VisitChanges`
            What writes them; visits that are registered stay as they are.
        """
        footprints = None if self.camera.focal_plane is None else Footprints(self.camera)
        return VisitChanges(
            universe,
            self.camera.name,
            self.definitions,
            self.systems,
            footprints,
            update=False,
            merge=False,
        )


def plan_visits(
    camera: Camera, exposures: Sequence[Mapping[str, Any]], used: Collection[int], *, all_of_sky: bool
) -> Visits:
    """Define visits of exposures.

    Parameters
    ----------
    camera : `Camera`
        The camera.
    exposures : sequence of mapping
        Exposure records as mappings.
    used : collection of `int`
        Exposures that files name as their visits.
    all_of_sky : `bool`
        Whether all exposures of the sky become visits, with regions; else only those that
        are used, one visit each, without.

    Returns
    -------
    visits : `Visits`
        The visits.
    """
    found = Visits(camera)
    if all_of_sky:
        systems = [VISIT_SYSTEMS[name] for name in camera.visit_systems]
        usable, skipped = on_sky(exposures)
        found.definitions, found.notes = group_exposures(usable, systems)
        found.notes += [f"exposures that are no visits: {number} {why}" for why, number in skipped.items()]
    defined = {visit.id for visit in found.definitions}
    by_number = {exposure["id"]: exposure for exposure in exposures}
    for number in sorted(set(used) - defined):
        one = by_number[number]
        bare = one if all_of_sky else {**one, "tracking_ra": None}
        found.definitions.append(VisitDefinition(number, one["obs_id"], (bare,), frozenset({_ONE})))
    if not found.definitions:
        return found
    pointed = sum(pointing_of(visit.exposures[0]) is not None for visit in found.definitions)
    placed = pointed if camera.focal_plane is not None else 0
    missing = len(found.definitions) - placed
    if not all_of_sky:
        found.notes.append(f"visits without regions: {missing}; lakebutler define-visits --update-records")
        return found
    found.notes.append(f"visits: {len(found.definitions)}, with regions: {placed}")
    if missing and placed < pointed:
        found.notes.append(f"the focal plane of {camera.name} is not known: its visits have no regions")
    elif missing:
        found.notes.append(f"visits without regions: {missing}; no header told where the telescope looked")
    return found
