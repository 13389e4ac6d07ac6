# SPDX-License-Identifier: BSD-3-Clause
"""The rules of a lost race, as pure functions over values.

A commit that was built on version *b* and finds that others have made versions
*b* + 1 ... *n* may still go in as *n* + 1 without being built again if nothing
it relied on has changed.  What an entry added, removed or set, and what its writer
relied on, is its *footprint*; two footprints conflict or they do not.  Nothing here
knows a file, a clock or a process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lakebutler.lake.entry import (
    Action,
    AddFile,
    CreateTable,
    Delete,
    DeleteFile,
    Fold,
    RemoveFile,
    Rows,
    SetState,
)
from lakebutler.lake.schema import TableSchema

__all__ = ["Footprint", "conflict", "footprint"]

Key = tuple[Any, ...]
Scopes = frozenset[Key] | None


@dataclass(frozen=True)
class Footprint:
    """What a commit did and what it relied on.

    Parameters
    ----------
    inserts : mapping
        Scopes that rows were added to, by table.
    deletes : mapping
        Scopes that rows were removed from, by table; `None` where that is not
        known, so that it may be any.
    by_id : frozenset
        Tables from which rows were removed, and by their id alone.
    folds : frozenset
        Tables whose rows were moved into other files.
    sets : frozenset
        Kinds and names of the values that were set.
    creates : frozenset
        Tables that were made.
    touches : mapping
        Scopes that were looked at, by table; one that is cut short stands for all that begin so.
    requires : frozenset
        Kinds and names of the values that were looked at.
    """

    inserts: Mapping[str, frozenset[Key]] = field(default_factory=dict)
    deletes: Mapping[str, Scopes] = field(default_factory=dict)
    by_id: frozenset[str] = frozenset()
    folds: frozenset[str] = frozenset()
    sets: frozenset[tuple[str, str]] = frozenset()
    creates: frozenset[str] = frozenset()
    touches: Mapping[str, frozenset[Key]] = field(default_factory=dict)
    requires: frozenset[tuple[str, str]] = frozenset()


def footprint(
    actions: Iterable[Action],
    schemas: Mapping[str, TableSchema],
    touches: Mapping[str, Iterable[Key]] | None = None,
    requires: Iterable[tuple[str, str]] = (),
) -> Footprint:
    """Return the footprint of what an entry does.

    Parameters
    ----------
    actions : iterable of `Action`
        What it does.
    schemas : mapping
        Schemas of the tables there are, by name.
    touches, requires : optional
        What its writer relied on.
    """
    inserts: dict[str, set[Key]] = {}
    deletes: dict[str, set[Key] | None] = {}
    by_id: set[str] = set()
    by_other: set[str] = set()
    folds: set[str] = set()
    creates: set[str] = set()
    sets: set[tuple[str, str]] = set()
    for action in actions:
        match action:
            case Rows(table, rows):
                getter = schemas[table].getter(schemas[table].scope)
                inserts.setdefault(table, set()).update(map(getter, rows))
            case AddFile(table, file):
                if file.version is None:
                    inserts.setdefault(table, set()).update(scope for scope, _ in file.scopes)
            case Delete(table, columns, keys):
                (by_id if columns == (schemas[table].id,) else by_other).add(table)
                _widen(deletes, table, _scopes_of(schemas[table], columns, keys))
            case DeleteFile(table, columns, _):
                (by_id if columns == (schemas[table].id,) else by_other).add(table)
                _widen(deletes, table, None)
            case RemoveFile(table, _) | Fold(table, _):
                folds.add(table)
            case SetState(kind, name, _):
                sets.add((kind, name))
            case CreateTable(schema, _):
                creates.add(schema.name)
                schemas = {**schemas, schema.name: schema}
    return Footprint(
        {table: frozenset(scopes) for table, scopes in inserts.items()},
        {table: None if scopes is None else frozenset(scopes) for table, scopes in deletes.items()},
        frozenset(by_id - by_other),
        frozenset(folds),
        frozenset(sets),
        frozenset(creates),
        {table: frozenset(scopes) for table, scopes in (touches or {}).items()},
        frozenset(requires),
    )


def conflict(mine: Footprint, theirs: Footprint) -> str | None:
    """Say why a commit must be built again after another came first.

    Parameters
    ----------
    mine : `Footprint`
        Of the commit that lost the race.
    theirs : `Footprint`
        Of one that came before it, unseen.

    Returns
    -------
    reason : `str` or `None`
        `None` if it need not.
    """
    for kind, name in (mine.sets | mine.requires) & theirs.sets:
        return f"{kind} {name!r} was set"
    for table in mine.creates & theirs.creates:
        return f"table {table!r} was made"
    for table in mine.folds & theirs.folds:
        return f"files of table {table!r} were rewritten"
    for table, scopes in mine.touches.items():
        if _covers(scopes, theirs.inserts.get(table, frozenset())):
            return f"rows of table {table!r} were added in the same scope"
        gone = theirs.deletes.get(table, frozenset())
        if gone is None or _covers(scopes, gone):
            return f"rows of table {table!r} were removed in the same scope"
    for table, lost in mine.deletes.items():
        if table not in mine.by_id and _meet(theirs.inserts.get(table, frozenset()), lost):
            return f"rows of table {table!r} were added where rows are being removed"
    return None


def _meet(scopes: frozenset[Key], other: Scopes) -> bool:
    return bool(scopes) if other is None else not scopes.isdisjoint(other)


def _covers(touched: frozenset[Key], scopes: frozenset[Key]) -> bool:
    """Whether one of some scopes is, or begins with, one that was looked at."""
    if touched & scopes:
        return True
    return any(
        len(short) < len(scope) and scope[: len(short)] == short for short in touched for scope in scopes
    )


def _scopes_of(schema: TableSchema, columns: tuple[str, ...], keys: Iterable[Key]) -> set[Key] | None:
    if not set(schema.scope) <= set(columns):
        return None
    places = [columns.index(name) for name in schema.scope]
    return {tuple(key[i] for i in places) for key in keys}


def _widen(deletes: dict[str, set[Key] | None], table: str, scopes: set[Key] | None) -> None:
    known = deletes.setdefault(table, set())
    deletes[table] = None if known is None or scopes is None else known | scopes
