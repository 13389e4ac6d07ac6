# SPDX-License-Identifier: BSD-3-Clause
"""What is to become of visits: those that there should be, and those that there are.

Whatever is decided, an exposure is in at most one visit of each visit system.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from lakebutler.dimensions.columns import fit
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.instruments.cameras.camera import VISIT_SYSTEMS
from lakebutler.instruments.visits.groups import VisitDefinition
from lakebutler.instruments.visits.records import differences
from lakebutler.instruments.visits.report import VisitStatus
from lakebutler.instruments.visits.stored import Stored

__all__ = ["Verdict", "impossible_visits", "judge_others", "judge_visits", "rival_reason"]

_NAMES = {number: name for name, number in VISIT_SYSTEMS.items()}
_SHOWN = 3


class Verdict(NamedTuple):
    """What is to become of a visit.

    Attributes
    ----------
    status : `VisitStatus`
        What is to become of it.
    reason : `str`
        Why.
    """

    status: VisitStatus
    reason: str = ""


def impossible_visits(
    element: DimensionElement,
    definitions: Sequence[VisitDefinition],
    records: Mapping[int, Mapping[str, Any]],
) -> dict[int, str]:
    """Find the visits that no record can be made of.

    Parameters
    ----------
    element : `DimensionElement`
        The dimension ``visit``.
    definitions : sequence of `VisitDefinition`
        What there should be.
    records : `Mapping` [`int`, `Mapping`]
        Fields of the record of each.

    Returns
    -------
    reasons : `dict` [`int`, `str`]
        What is wrong with each of them.
    """
    needed = [column for column in element.RecordClass.layout.plain if not column.nullable]
    found: dict[int, str] = {}
    for visit in definitions:
        for column in needed:
            value = records[visit.id][column.name]
            try:
                fit(column, value)
            except (TypeError, ValueError) as err:
                found[visit.id] = f"its {column.name} {err}"
                if value is None and column.name in visit.exposures[0]:
                    found[visit.id] = _disagreement(visit, column.name)
                break
    return found


def _disagreement(visit: VisitDefinition, field: str) -> str:
    holders: dict[Any, set[int]] = {}
    for exposure in visit.exposures:
        holders.setdefault(exposure[field], set()).add(exposure["id"])
    each = [f"{listed(numbers)} {value!r}" for value, numbers in holders.items()]
    more = f" and {len(each) - _SHOWN} more" if len(each) > _SHOWN else ""
    return f"a visit has one {field}, its exposures have several: {', '.join(each[:_SHOWN])}{more}"


def judge_others(
    stored: Stored,
    users: Mapping[int, Collection[str]],
    defined: Collection[int],
    systems: Collection[int],
    *,
    update: bool,
) -> dict[int, Verdict]:
    """Say what becomes of visits that there are and that exposures do not define.

    Parameters
    ----------
    stored : `Stored`
        What there is.
    users : `Mapping` [`int`, collection of `str`]
        Dataset types with datasets of these visits.
    defined : collection of `int`
        Exposures that are in any visit that there should be.
    systems : collection of `int`
        The visit systems that are defined.
    update : `bool`
        Whether they may go.

    Returns
    -------
    verdicts : `dict` [`int`, `Verdict`]
        Without those that stay as they are: datasets use them, and none of their exposures
        is in a visit that there should be.
    """
    found = {}
    for number in sorted(stored.others):
        old = stored.systems[number] & set(systems)
        why = f"{listed(stored.exposures[number])} no longer {_verb(stored.exposures[number])} it{_of(old)}"
        used = sorted(users.get(number, ()))
        if stored.systems[number] - old:
            used = []  # it stays a visit of other systems
        if used and stored.exposures[number].isdisjoint(defined):
            continue
        if used:
            more = f" and {len(used) - _SHOWN} more" if len(used) > _SHOWN else ""
            types = ", ".join(used[:_SHOWN])
            found[number] = Verdict(VisitStatus.CONFLICT, f"{why}, but datasets use it: {types}{more}")
        else:
            found[number] = Verdict(VisitStatus.REMOVED if update else VisitStatus.CONFLICT, why)
    return found


def judge_visits(
    definitions: Sequence[VisitDefinition],
    records: Mapping[int, Mapping[str, Any]],
    impossible: Mapping[int, str],
    stored: Stored,
    others: Mapping[int, Verdict],
    systems: Collection[int],
    *,
    update: bool,
) -> dict[int, Verdict]:
    """Say what becomes of visits that there should be.

    Parameters
    ----------
    definitions : sequence of `VisitDefinition`
        The visits.
    records : `Mapping` [`int`, `Mapping`]
        Fields of the record of each.
    impossible : `Mapping` [`int`, `str`]
        What is wrong with those that cannot be.
    stored : `Stored`
        What there is.
    others : `Mapping` [`int`, `Verdict`]
        What becomes of visits that there are beside them.
    systems : collection of `int`
        The visit systems that are defined.
    update : `bool`
        Whether what differs is replaced.

    Returns
    -------
    verdicts : `dict` [`int`, `Verdict`]
        For each of the definitions.
    """
    gone = {number for number, verdict in others.items() if verdict.status is VisitStatus.REMOVED}
    gone = {number for number in gone if stored.systems[number] <= set(systems)}
    found: dict[int, Verdict] = {}
    for visit in definitions:
        holder = stored.names.get(visit.name)
        if visit.id in impossible:
            found[visit.id] = Verdict(VisitStatus.CONFLICT, impossible[visit.id])
        elif holder is not None and holder != visit.id and holder not in gone:
            reason = f"its name {visit.name!r} is that of visit {holder}"
            found[visit.id] = Verdict(VisitStatus.CONFLICT, reason)
        else:
            found[visit.id] = _compare(visit, records[visit.id], stored, systems, update=update)
    kept = [number for number, verdict in others.items() if verdict.status is VisitStatus.CONFLICT]
    kept += [number for number, verdict in found.items() if verdict.status is VisitStatus.CONFLICT]
    _keep_apart(definitions, found, stored, kept)
    return found


def _compare(
    visit: VisitDefinition,
    record: Mapping[str, Any],
    stored: Stored,
    systems: Collection[int],
    *,
    update: bool,
) -> Verdict:
    """Compare a visit with that of its number."""
    old = stored.records.get(visit.id)
    if old is None:
        return Verdict(VisitStatus.DEFINED)
    before = stored.exposures.get(visit.id, set())
    after = {e["id"] for e in visit.exposures}
    if before < after and before:
        return Verdict(VisitStatus.CHANGED, f"{listed(after - before)} added")
    reasons = [f"{listed(before - after)} in it, but not among the exposures"] if before - after else []
    if not before:
        reasons.append("it has no exposures")
    reasons += differences(old, record)
    if reasons:
        return Verdict(VisitStatus.CHANGED if update else VisitStatus.CONFLICT, "; ".join(reasons))
    if stored.systems.get(visit.id, set()) & set(systems) != visit.systems:
        return Verdict(VisitStatus.CHANGED, "it belongs to other visit systems now")
    return Verdict(VisitStatus.PRESENT)


def _keep_apart(
    definitions: Sequence[VisitDefinition],
    verdicts: dict[int, Verdict],
    stored: Stored,
    kept: Iterable[int],
) -> None:
    """Leave out what would put an exposure into two visits of one system.

    A visit that stays as it is keeps its exposures; so what is left out for that may keep
    others from being written in turn.
    """
    takers: dict[tuple[int, int], list[VisitDefinition]] = {}
    waiting = list(kept)
    if not waiting:
        return
    for visit in definitions:
        if verdicts[visit.id].status in (VisitStatus.DEFINED, VisitStatus.CHANGED):
            for system in visit.systems:
                for exposure in visit.exposures:
                    takers.setdefault((system, exposure["id"]), []).append(visit)
    while waiting:
        number = waiting.pop()
        held = product(sorted(stored.systems.get(number, ())), sorted(stored.exposures.get(number, ())))
        for system, shared in held:
            for visit in takers.get((system, shared), ()):
                if verdicts[visit.id].status is not VisitStatus.CONFLICT:
                    reason = f"exposure {shared} is in visit {number} of {_NAMES[system]}, which stays"
                    verdicts[visit.id] = Verdict(VisitStatus.CONFLICT, reason)
                    waiting.append(visit.id)


def rival_reason(visit: VisitDefinition, rival: VisitDefinition) -> str:
    """Say why a visit is left out whose number is another's.

    Parameters
    ----------
    visit, rival : `VisitDefinition`
        The one that is defined, and the one that is not.

    Returns
    -------
    reason : `str`
        One line that names both.
    """
    ours, theirs = ({e["id"] for e in one.exposures} for one in (visit, rival))
    return (
        f"it is that of {listed(ours)}{_of(visit.systems)}, and would be that of {listed(theirs)}"
        f"{_of(rival.systems)}, too: the latter is left out"
    )


def listed(exposures: Collection[int]) -> str:
    """Name a few exposures.

    Parameters
    ----------
    exposures : collection of `int`
        Their numbers.

    Returns
    -------
    text : `str`
        The first three, and how many there are beside them.
    """
    shown = ", ".join(str(n) for n in sorted(exposures)[:_SHOWN])
    more = f" and {len(exposures) - _SHOWN} more" if len(exposures) > _SHOWN else ""
    return f"exposure{'s' if len(exposures) > 1 else ''} {shown}{more}"


def _of(systems: Collection[int]) -> str:
    names = " and ".join(_NAMES.get(number, str(number)) for number in sorted(systems))
    return f" ({names})" if names else ""


def _verb(exposures: Collection[int]) -> str:
    return "define" if len(exposures) > 1 else "defines"
