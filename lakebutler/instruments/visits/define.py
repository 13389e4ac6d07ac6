# SPDX-License-Identifier: BSD-3-Clause
"""Define visits: group exposures, compute regions, compare, write one commit."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.errors import InstrumentError, known_names
from lakebutler.instruments.calibrations.certified import CertifiedCameras
from lakebutler.instruments.cameras.camera import VISIT_SYSTEMS, Camera
from lakebutler.instruments.cameras.find import load_camera
from lakebutler.instruments.cameras.register import require_registered
from lakebutler.instruments.visits.changes import VisitChanges, pointing_of
from lakebutler.instruments.visits.groups import (
    Exposure,
    VisitDefinition,
    group_exposures,
    number_of_first,
    sequence_of,
)
from lakebutler.instruments.visits.regions import Footprints
from lakebutler.instruments.visits.report import VisitsReport
from lakebutler.instruments.visits.stored import exposures_beside, match_records
from lakebutler.progress import NullProgress, Progress

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler

__all__ = ["define_visits", "on_sky"]


def define_visits(
    butler: Butler,
    instrument: str | os.PathLike[str] | Camera,
    *,
    where: str = "",
    bind: Mapping[str, Any] | None = None,
    collections: str | Sequence[str] | None = None,
    raw_name: str = "raw",
    systems: Sequence[str] | None = None,
    update_records: bool = False,
    incremental: bool = False,
    merge_exposures: bool = False,
    padding_px: float | None = None,
    progress: Progress | None = None,
) -> VisitsReport:
    """Define visits from registered exposures, with their regions on the sky.

    Parameters
    ----------
    butler : `Butler`
        A writeable repository.
    instrument : `str`, path-like or `Camera`
        A camera by name, a camera file of the user's, or a camera.
    where, bind : `str`, `Mapping`, optional
        Which exposures; default: all of the camera.
    collections : `str` or sequence of `str`, optional
        Only exposures that have a dataset of type ``raw_name`` there.  If one of them
        holds a ``camera`` that is valid when an exposure begins, regions follow from that
        one.  Default: all exposures, and cameras in the butler's own collections.
    raw_name : `str`, optional
        That dataset type.
    systems : sequence of `str`, optional
        Visit systems to define; default: those of the camera.
    update_records : `bool`, optional
        Replace registered visits that differ from what the exposures say.
    incremental : `bool`, optional
        Only look at exposures that no visit has yet, and at what they change.
    merge_exposures : `bool`, optional
        Let the regions of a visit of several exposures hold all of them, instead of being
        those of the first.
    padding_px : `float`, optional
        Pixels added around each detector; default: the camera's.
    progress : `Progress`, optional
        Told of the stages.

    Returns
    -------
    report : `VisitsReport`
        What became of every visit.

    Raises
    ------
    InstrumentError
        Raised if the camera or a visit system is not known, or not registered.

    Notes
    -----
    Other exposures of the same group or sequence are always taken into account.  A visit
    that has got further exposures is replaced; one that differs in any other way is a
    conflict, which is reported, and replaced with ``update_records``; so is one that its
    exposures no longer define, which is removed with ``update_records`` unless datasets use
    it.  What cannot be a visit is a conflict, and the others are defined.
    """
    watch = progress or NullProgress()
    camera = instrument if isinstance(instrument, Camera) else load_camera(instrument)
    numbers = _systems(camera, systems)
    require_registered(butler, camera)
    watch.start("grouping exposures")
    chosen = _exposures(butler, camera.name, where, bind, collections, raw_name)
    if incremental:
        chosen = _without_visit(butler, camera.name, chosen)
    if where or collections or incremental:
        chosen = _with_companions(butler, camera.name, chosen, numbers)
    usable, skipped = on_sky(chosen)
    definitions, notes = group_exposures(usable, numbers)
    watch.finish()
    watch.start("defining visits", len(definitions))
    footprints = None if camera.focal_plane is None else Footprints(camera, padding_px)
    own = _certified(butler, camera.name, collections, definitions, padding_px, notes)
    if footprints is None and len(own) < len(definitions):
        notes.append(f"the focal-plane geometry of camera {camera.name} is not known: visits have no regions")
    changes = VisitChanges(
        butler.dimensions,
        camera.name,
        definitions,
        numbers,
        footprints,
        own,
        update=update_records,
        merge=merge_exposures,
        looked_at=[exposure["id"] for exposure in chosen],
    )
    _register_systems(butler, camera.name, numbers)
    butler._session.execute(changes.build, op="define-visits")
    watch.advance(len(definitions))
    watch.finish()
    return VisitsReport(camera.name, tuple(changes.reports), changes.regions, skipped, tuple(notes))


def _certified(
    butler: Butler,
    instrument: str,
    collections: str | Sequence[str] | None,
    definitions: Sequence[VisitDefinition],
    padding_px: float | None,
    notes: list[str],
) -> dict[int, Footprints]:
    """Find the visits for whose time there is a camera in the collections."""
    places = butler.collections.defaults if collections is None else collections
    cameras = CertifiedCameras(butler, instrument, [places] if isinstance(places, str) else places)
    notes += cameras.notes
    made: dict[int, Footprints | None] = {}
    found: dict[int, Footprints] = {}
    for visit in definitions:
        camera = cameras.valid_for(visit.exposures[0]["timespan"])
        if camera is None:
            continue
        if id(camera) not in made:
            made[id(camera)] = None if camera.focal_plane is None else Footprints(camera, padding_px)
        footprints = made[id(camera)]
        if footprints is not None:
            found[visit.id] = footprints
    if found:
        count = len({id(footprints) for footprints in found.values()})
        cameras_used = "a certified camera" if count == 1 else f"{count} certified cameras"
        notes.append(f"regions of {len(found)} of {len(definitions)} visits follow from {cameras_used}")
    return found


# --------------------------------------------------------------------- checking


def _systems(camera: Camera, names: Sequence[str] | None) -> list[int]:
    wanted = camera.visit_systems if names is None else names
    for name in wanted:
        if name not in VISIT_SYSTEMS:
            raise InstrumentError(
                f"there is no visit system {name!r}", hint=known_names(name, list(VISIT_SYSTEMS))
            )
    return sorted(VISIT_SYSTEMS[name] for name in wanted)


def _register_systems(butler: Butler, instrument: str, systems: Sequence[int]) -> None:
    names = {number: name for name, number in VISIT_SYSTEMS.items()}
    known = butler.query_dimension_records("visit_system", instrument=instrument, explain=False)
    for number in set(systems) - {record.dataId["visit_system"] for record in known}:
        row = {"instrument": instrument, "id": number, "name": names[number]}
        butler.registry.syncDimensionData("visit_system", row)


# -------------------------------------------------------------------- exposures


def _exposures(
    butler: Butler,
    instrument: str,
    where: str,
    bind: Mapping[str, Any] | None,
    collections: str | Sequence[str] | None,
    raw_name: str,
) -> list[Exposure]:
    with butler.query() as query:
        if collections:
            query = query.join_dataset_search(raw_name, collections)
        results = query.dimension_records("exposure").where(where, bind=bind, instrument=instrument)
        return [record.toDict() for record in results]


def _without_visit(butler: Butler, instrument: str, exposures: Sequence[Exposure]) -> list[Exposure]:
    ids = [exposure["id"] for exposure in exposures]
    rows = match_records(butler._session.snapshot, instrument, "visit_definition", "exposure", ids)
    defined = set() if rows is None else set(rows.column("exposure").to_pylist())
    return [exposure for exposure in exposures if exposure["id"] not in defined]


def _with_companions(
    butler: Butler, instrument: str, exposures: Sequence[Exposure], systems: Sequence[int]
) -> list[Exposure]:
    """Add the registered exposures that bear on the visits of given ones, and on theirs in turn."""
    found: dict[int, Exposure] = {}
    seen: set[Any] = set()
    fresh = list(exposures)
    while fresh:
        found.update((exposure["id"], exposure) for exposure in fresh)
        others = _of_one_group(butler, instrument, fresh, systems, seen)
        others += _numbered(butler, instrument, _bound(butler, instrument, fresh, systems) - set(found))
        fresh = list({other["id"]: other for other in others if other["id"] not in found}.values())
    return list(found.values())


def _of_one_group(
    butler: Butler,
    instrument: str,
    exposures: Sequence[Exposure],
    systems: Sequence[int],
    seen: set[Any],
) -> list[Exposure]:
    """List the exposures of the sequences and groups of given ones that were not seen before."""
    found: list[Exposure] = []
    if VISIT_SYSTEMS["by-seq-start-end"] in systems:
        sequences = {sequence_of(e) for e in exposures if e["seq_start"] != e["seq_end"]} - seen
        seen |= sequences
        days = sorted({sequence[0] for sequence in sequences})
        others = _where(butler, instrument, "day_obs IN (values)", days)
        found += [other for other in others if sequence_of(other) in sequences]
    if VISIT_SYSTEMS["by-group-metadata"] in systems:
        groups = {e["group"] for e in exposures if e["group"] is not None} - seen
        seen |= groups
        found += _where(butler, instrument, "group IN (values)", sorted(groups))
    return found


def _bound(
    butler: Butler, instrument: str, exposures: Sequence[Exposure], systems: Sequence[int]
) -> set[int]:
    """Number the exposures that are in one visit with given ones, or could clash with theirs."""
    numbers = [exposure["id"] for exposure in exposures]
    found = exposures_beside(butler._session.snapshot, instrument, numbers, systems)
    if VISIT_SYSTEMS["by-seq-start-end"] in systems and VISIT_SYSTEMS["one-to-one"] in systems:
        several = (e["id"] for e in exposures if e["seq_start"] != e["seq_end"])
        found |= {number_of_first(number) for number in several}
        found |= {int(str(n)[1:]) for n in numbers if n > 9 and number_of_first(int(str(n)[1:])) == n}
    return found


def _numbered(butler: Butler, instrument: str, numbers: Collection[int]) -> list[Exposure]:
    """Read the exposures with some numbers, as far as there are any."""
    possible = sorted(number for number in numbers if number < 2**63)
    rows = match_records(butler._session.snapshot, instrument, "exposure", "exposure", possible)
    known = [] if rows is None else sorted(rows.column("exposure").to_pylist())
    return _where(butler, instrument, "exposure IN (values)", known)


def _where(butler: Butler, instrument: str, where: str, values: Sequence[Any]) -> list[Exposure]:
    if not values:
        return []
    found = butler.query_dimension_records(
        "exposure", where=where, bind={"values": list(values)}, instrument=instrument, explain=False
    )
    return [record.toDict() for record in found]


def on_sky(exposures: Iterable[Exposure]) -> tuple[list[Exposure], Mapping[str, int]]:
    """Leave out what is no observation of the sky.

    Parameters
    ----------
    exposures : iterable of `Exposure`
        Exposures of one camera.

    Returns
    -------
    usable : `list` [`Exposure`]
        Those that can be visits.
    skipped : `Mapping` [`str`, `int`]
        How many are not, by reason.
    """
    usable, skipped = [], Counter[str]()
    for exposure in exposures:
        if exposure["can_see_sky"] is False:
            skipped["could not see the sky"] += 1
        elif pointing_of(exposure) is None and exposure["observation_type"] != "science":
            skipped["not of the sky"] += 1
        else:
            usable.append(exposure)
    return usable, dict(skipped)
