# SPDX-License-Identifier: BSD-3-Clause
"""What a repository has of visits: their records, exposures and systems, and what uses them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lakebutler.dimensions.arrow import table_to_records
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.instruments.visits.groups import VisitDefinition
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry.schema import DATASET_PREFIX, dimension_table

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Stored", "exposures_beside", "match_records", "read_stored", "tables_of_visits", "users_of"]


class Stored(NamedTuple):
    """What a repository has of some visits.

    Attributes
    ----------
    records : `dict` [`int`, `dict`]
        Fields of the records of those that there should be; regions are encoded.
    exposures : `dict` [`int`, `set` [`int`]]
        The exposures in each.
    systems : `dict` [`int`, `set` [`int`]]
        The visit systems that each belongs to.
    names : `dict` [`str`, `int`]
        Which visit has the name of one that there should be.
    others : `frozenset` [`int`]
        Further visits of the same systems that exposures looked at are in.
    """

    records: dict[int, dict[str, Any]]
    exposures: dict[int, set[int]]
    systems: dict[int, set[int]]
    names: dict[str, int]
    others: frozenset[int]


def match_records(
    snapshot: Snapshot, instrument: str, element: str, column: str, values: Sequence[Any]
) -> pyarrow.Table | None:
    """Select the records of one camera that have one of some values.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state.
    instrument : `str`
        The camera.
    element : `str`
        What the records are of.
    column : `str`
        The column.
    values : sequence
        Its values.

    Returns
    -------
    rows : `pyarrow.Table` or `None`
        `None` if there are no such records at all, or no values.
    """
    import pyarrow as pa

    table = dimension_table(element)
    if table not in snapshot.schemas() or not values:
        return None
    keys = pa.table({"instrument": pa.repeat(pa.scalar(instrument), len(values)), column: values})
    return snapshot.match(table, ("instrument", column), keys)


def read_stored(
    snapshot: Snapshot,
    universe: DimensionUniverse,
    instrument: str,
    definitions: Sequence[VisitDefinition],
    looked_at: Collection[int],
    systems: Collection[int],
) -> Stored:
    """Read what there is of visits.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state.
    universe : `DimensionUniverse`
        The repository's dimensions.
    instrument : `str`
        The camera.
    definitions : sequence of `VisitDefinition`
        What there should be.
    looked_at : collection of `int`
        Exposures whose other visits of these systems are wanted, too.
    systems : collection of `int`
        The visit systems.

    Returns
    -------
    stored : `Stored`
        What there is.
    """
    ids = [visit.id for visit in definitions if visit.id < 2**63]
    rows = match_records(snapshot, instrument, "visit_definition", "exposure", sorted(looked_at))
    others = [] if rows is None else sorted(set(rows.column("visit").to_pylist()).difference(ids))
    members = _sets(snapshot, instrument, "visit_system_membership", "visit_system", [*ids, *others])
    others = [number for number in others if not members.get(number, set()).isdisjoint(systems)]
    visits = match_records(snapshot, instrument, "visit", "visit", ids)
    made = [] if visits is None else table_to_records(universe["visit"], visits)
    records = {fields["id"]: fields for fields in (record.toDict() for record in made)}
    for fields in records.values():
        fields["region"] = None if fields["region"] is None else fields["region"].encode()
    named = match_records(snapshot, instrument, "visit", "name", [visit.name for visit in definitions])
    names = {} if named is None else _pairs(named, "name", "visit")
    exposures = _sets(snapshot, instrument, "visit_definition", "exposure", [*ids, *others])
    return Stored(records, exposures, members, dict(names), frozenset(others))


def exposures_beside(
    snapshot: Snapshot, instrument: str, exposures: Collection[int], systems: Collection[int]
) -> set[int]:
    """Find the exposures that are in one visit with given ones.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state.
    instrument : `str`
        The camera.
    exposures : collection of `int`
        The given ones.
    systems : collection of `int`
        Only visits of one of these visit systems.

    Returns
    -------
    others : `set` [`int`]
        The others.
    """
    rows = match_records(snapshot, instrument, "visit_definition", "exposure", sorted(exposures))
    visits = [] if rows is None else sorted(set(rows.column("visit").to_pylist()))
    members = _sets(snapshot, instrument, "visit_system_membership", "visit_system", visits)
    chosen = [number for number in visits if not members.get(number, set()).isdisjoint(systems)]
    found = _sets(snapshot, instrument, "visit_definition", "exposure", chosen)
    return set().union(*found.values()).difference(exposures)


def tables_of_visits(snapshot: Snapshot) -> list[str]:
    """Name the tables of datasets that have a visit in their data ID.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state.

    Returns
    -------
    tables : `list` [`str`]
        Their names.
    """
    return [
        name
        for name, schema in snapshot.schemas().items()
        if name.startswith(DATASET_PREFIX) and "visit" in {column.name for column in schema.columns}
    ]


def users_of(snapshot: Snapshot, instrument: str, visits: Sequence[int]) -> dict[int, set[str]]:
    """Find the dataset types of which there are datasets of some visits.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state.
    instrument : `str`
        The camera.
    visits : sequence of `int`
        The visits.

    Returns
    -------
    types : `dict` [`int`, `set` [`str`]]
        Names of dataset types, for those visits that have any.
    """
    import pyarrow as pa

    found: dict[int, set[str]] = {}
    if not visits:
        return found
    keys = pa.table({"instrument": pa.repeat(pa.scalar(instrument), len(visits)), "visit": list(visits)})
    for table in tables_of_visits(snapshot):
        rows = snapshot.match(table, ("instrument", "visit"), keys, select=("visit", "dataset_type"))
        _collect(found, _pairs(rows, "visit", "dataset_type"))
    return found


def _sets(
    snapshot: Snapshot, instrument: str, element: str, column: str, visits: Sequence[int]
) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    rows = match_records(snapshot, instrument, element, "visit", visits)
    if rows is not None:
        _collect(found, _pairs(rows, "visit", column))
    return found


def _collect(found: dict[Any, set[Any]], pairs: Iterable[tuple[Any, Any]]) -> None:
    for key, value in pairs:
        found.setdefault(key, set()).add(value)


def _pairs(table: pyarrow.Table, key: str, value: str) -> Iterable[tuple[Any, Any]]:
    return zip(table.column(key).to_pylist(), table.column(value).to_pylist(), strict=True)
