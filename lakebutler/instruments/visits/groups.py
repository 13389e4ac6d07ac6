# SPDX-License-Identifier: BSD-3-Clause
"""Which exposures make a visit: the visit systems and their rules.

``one-to-one``
    Every exposure is a visit, with the same number.
``by-seq-start-end``
    Exposures of one day with the same first and last sequence number are a visit, with
    the number of the first of them.  It needs the first one; without it there is none.
``by-group-metadata``
    Exposures of one group are a visit; its number is made of the digits of the group.

Where the first two are used together, the exposure whose number a visit of several has
taken is a visit of its own under its number with a 9 before it.  These are the rules of
``lsst.obs.base.DefineVisitsTask``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lakebutler.instruments.cameras.camera import VISIT_SYSTEMS

__all__ = ["Exposure", "VisitDefinition", "group_exposures", "number_of_first", "sequence_of"]

Exposure = Mapping[str, Any]
"""An exposure record as a mapping."""

_LARGEST = 2**63 - 1
_ONE = VISIT_SYSTEMS["one-to-one"]
_GROUP = VISIT_SYSTEMS["by-group-metadata"]
_SEQUENCE = VISIT_SYSTEMS["by-seq-start-end"]


@dataclass(frozen=True, slots=True)
class VisitDefinition:
    """A visit and the exposures in it.

    Attributes
    ----------
    id, name : `int`, `str`
        Of the visit.
    exposures : `tuple` [`Exposure`]
        Ordered by sequence number.
    systems : `frozenset` [`int`]
        The visit systems that it belongs to.
    rivals : `tuple` [`VisitDefinition`]
        Others that would have the same number; they cannot be defined.
    """

    id: int
    name: str
    exposures: tuple[Exposure, ...]
    systems: frozenset[int]
    rivals: tuple[VisitDefinition, ...] = ()


def sequence_of(exposure: Exposure) -> tuple[Any, ...]:
    """Name the sequence that an exposure belongs to.

    Parameters
    ----------
    exposure : `Exposure`
        The exposure.

    Returns
    -------
    key : `tuple`
        The same for the exposures of one sequence.
    """
    if exposure["seq_start"] is None or exposure["seq_end"] is None:
        return (exposure["day_obs"], None, exposure["id"])
    return (exposure["day_obs"], exposure["seq_start"], exposure["seq_end"])


def group_exposures(
    exposures: Iterable[Exposure], systems: Sequence[int]
) -> tuple[list[VisitDefinition], list[str]]:
    """Put exposures of one camera together into visits.

    Parameters
    ----------
    exposures : iterable of `Exposure`
        The exposures; all those of a group or sequence, or what there is of it.
    systems : sequence of `int`
        The visit systems to use.

    Returns
    -------
    visits : `list` [`VisitDefinition`]
        Ordered by number.  Of several with one number, that of the exposure with this number
        is chosen, or the first; the others are its rivals.
    notes : `list` [`str`]
        What could not be defined, and why.
    """
    ordered = sorted(exposures, key=_place)
    notes: list[str] = []
    found: dict[int, VisitDefinition] = {}
    if _SEQUENCE in systems:
        made = _by_sequence(ordered, notes, alone=_ONE in systems)
    elif _ONE in systems:
        made = [VisitDefinition(e["id"], e["obs_id"], (e,), frozenset({_ONE})) for e in ordered]
    else:
        made = []
    if _GROUP in systems:
        made += _by_group(ordered, notes)
    for visit in sorted(made, key=lambda v: v.id != v.exposures[0]["id"]):
        other = found.setdefault(visit.id, visit)
        if other is visit:
            continue
        if [e["id"] for e in other.exposures] == [e["id"] for e in visit.exposures]:
            found[visit.id] = replace(other, systems=other.systems | visit.systems)
        else:
            found[visit.id] = replace(other, rivals=(*other.rivals, visit))
    return [found[number] for number in sorted(found)], notes


def _place(exposure: Exposure) -> tuple[Any, ...]:
    return (exposure["day_obs"] or 0, exposure["seq_num"] or 0, exposure["id"])


def _gather(exposures: Iterable[Exposure], key: Any) -> dict[Any, list[Exposure]]:
    groups: dict[Any, list[Exposure]] = {}
    for exposure in exposures:
        groups.setdefault(key(exposure), []).append(exposure)
    return groups


def _by_sequence(exposures: Sequence[Exposure], notes: list[str], *, alone: bool) -> list[VisitDefinition]:
    made = []
    for members in _gather(exposures, sequence_of).values():
        first = members[0]
        several = len(members) > 1
        if several and first["seq_num"] != first["seq_start"]:
            several = False
            if first["seq_num"]:  # 0: the camera does not count
                notes.append(_without_first(first))
            single = frozenset({_ONE})
        elif several:
            made.append(VisitDefinition(first["id"], first["obs_id"], tuple(members), frozenset({_SEQUENCE})))
            single = frozenset({_ONE})
        else:
            single = frozenset({_ONE, _SEQUENCE} if alone else {_SEQUENCE})
        if not alone and _ONE in single:
            continue
        for exposure in members:
            number, name = exposure["id"], exposure["obs_id"]
            if several and exposure is first:
                number, name = number_of_first(number), f"{name}_first"
            made.append(VisitDefinition(number, name, (exposure,), single))
    return made


def number_of_first(exposure: int) -> int:
    """Number the visit that the first of several exposures is of its own.

    Parameters
    ----------
    exposure : `int`
        The exposure.

    Returns
    -------
    visit : `int`
        The same with a 9 before it.
    """
    return int(f"9{exposure}")


def _without_first(present: Exposure) -> str:
    return (
        f"exposures {present['seq_start']} to {present['seq_end']} of {present['day_obs']}: the first is not "
        "there, so they are no visit by-seq-start-end"
    )


def _by_group(exposures: Sequence[Exposure], notes: list[str]) -> list[VisitDefinition]:
    made: dict[int, VisitDefinition] = {}
    for name, members in _gather(exposures, lambda e: e["group"]).items():
        digits = re.sub(r"\D", "", name or "")
        if not digits or int(digits) > _LARGEST:
            notes.append(f"group {name!r} has no digits that could number a visit")
            continue
        visit = VisitDefinition(int(digits), name, tuple(members), frozenset({_GROUP}))
        other = made.setdefault(visit.id, visit)
        if other is not visit:
            notes.append(f"groups {other.name!r} and {name!r} have the same digits: the latter is left out")
    return list(made.values())
