# SPDX-License-Identifier: BSD-3-Clause
"""Collections of a repository: looked up, registered, chained, removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lakebutler.collections import chain
from lakebutler.collections.collection import CollectionInfo, CollectionType
from lakebutler.collections.names import check_collection_name
from lakebutler.collections.wildcard import is_pattern, match_names, named_collections
from lakebutler.errors import (
    CollectionTypeError,
    ConflictingDefinitionError,
    MissingCollectionError,
    OrphanedRecordError,
    known_names,
)
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry.schema import DATASET_PREFIX
from lakebutler.registry.values import collections_of

__all__ = [
    "KIND",
    "all_parents",
    "chain_children",
    "collection_info",
    "collection_type",
    "dataset_tables",
    "edit_chain",
    "flatten",
    "parents",
    "query_collections",
    "register_collection",
    "remove_collection",
    "set_documentation",
    "summary",
]

KIND = "collection"


def _state(snapshot: Snapshot) -> Mapping[str, Any]:
    return collections_of(snapshot)


def _value(snapshot: Snapshot, name: str) -> Mapping[str, Any]:
    value = _state(snapshot).get(name)
    if value is None:
        shown = repr(name) if len(name) <= 100 else f"{name[:80]!r}... ({len(name)} characters)"
        raise MissingCollectionError(
            f"there is no collection {shown}",
            hint=known_names(name, _state(snapshot), what="collections"),
        )
    found: Mapping[str, Any] = value
    return found


def collection_type(snapshot: Snapshot, name: str) -> CollectionType:
    """Type of a collection.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    name : `str`
        Its name.

    Returns
    -------
    kind : `CollectionType`
        Its type.

    Raises
    ------
    MissingCollectionError
        Raised if there is no such collection.
    """
    return CollectionType.from_name(_value(snapshot, name)["type"])


def parents(snapshot: Snapshot, name: str) -> set[str]:
    """Chains that have a collection as a direct child.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    name : `str`
        The child.

    Returns
    -------
    names : `set` [`str`]
        The chains.
    """
    return {parent for parent, value in _state(snapshot).items() if name in value.get("children", ())}


def all_parents(snapshot: Snapshot) -> dict[str, set[str]]:
    """Chains that have a collection as a direct child, for all that are in one.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.

    Returns
    -------
    names : `dict` [`str`, `set` [`str`]]
        The chains, by child.
    """
    found: dict[str, set[str]] = {}
    for parent, value in _state(snapshot).items():
        for child in value.get("children", ()):
            found.setdefault(child, set()).add(parent)
    return found


def collection_info(
    snapshot: Snapshot, name: str, *, include_parents: bool = False, include_summary: bool = False
) -> CollectionInfo:
    """What there is to say about a collection.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    name : `str`
        Its name.
    include_parents : `bool`, optional
        Whether to look up the chains it is in.
    include_summary : `bool`, optional
        Whether to find the dataset types in it.

    Returns
    -------
    info : `CollectionInfo`
        The description.
    """
    value = _value(snapshot, name)
    return CollectionInfo(
        name=name,
        type=CollectionType.from_name(value["type"]),
        doc=value.get("doc", ""),
        children=tuple(value.get("children", ())),
        parents=frozenset(parents(snapshot, name)) if include_parents else None,
        dataset_types=frozenset(summary(snapshot, [name])) if include_summary else None,
    )


def flatten(snapshot: Snapshot, names: Iterable[str], *, include_chains: bool = False) -> list[str]:
    """Expand chains, depth first, each collection once.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    names : iterable of `str`
        Collections in search order.
    include_chains : `bool`, optional
        Whether the chains themselves stay in the list, before their children.

    Returns
    -------
    names : `list` [`str`]
        Collections in search order.
    """
    ordered = tuple(names)
    state = _state(snapshot)
    if len(ordered) == 1 and ordered[0] in state and "children" not in state[ordered[0]]:
        return list(ordered)

    def children(name: str) -> tuple[str, ...] | None:
        value = _value(snapshot, name)
        return tuple(value["children"]) if "children" in value else None

    return chain.flatten(ordered, children, include_chains=include_chains)


def query_collections(
    snapshot: Snapshot,
    expression: Any,
    *,
    collection_types: Iterable[CollectionType] | None = None,
    flatten_chains: bool = False,
    include_chains: bool | None = None,
) -> list[str]:
    """Find collections by name or pattern.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    expression : `str`, `re.Pattern`, iterable of these, or ``...``
        Names, globs and regular expressions; a name that exists is never read as a
        glob, and ``...`` is everything.
    collection_types : iterable of `CollectionType`, optional
        Which types to return; all by default.
    flatten_chains : `bool`, optional
        Whether to return the members of chains too.
    include_chains : `bool`, optional
        Whether to return chains; by default, unless they are flattened.

    Returns
    -------
    names : `list` [`str`]
        In the order given, matches of a glob by name.

    Raises
    ------
    MissingCollectionError
        Raised if a name without wildcard does not exist.
    CollectionExpressionError
        Raised if the expression holds something else.
    """
    state = _state(snapshot)
    found: dict[str, None] = {}
    for pattern in named_collections([expression] if expression is None else expression, state) or ():
        if pattern in state:
            found[pattern] = None
        elif is_pattern(pattern):
            found.update(dict.fromkeys(match_names(pattern, state)))
        else:
            _value(snapshot, pattern)
    names: list[str] = list(found)
    if include_chains is None:
        include_chains = not flatten_chains
    if flatten_chains:
        names = flatten(snapshot, names, include_chains=include_chains)
    elif not include_chains:
        names = [n for n in names if "children" not in state[n]]
    if collection_types is not None:
        wanted = {t.name for t in collection_types}
        names = [n for n in names if state[n]["type"] in wanted]
    return names


def chain_children(snapshot: Snapshot, name: str) -> tuple[str, ...]:
    """Children of a chain.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    name : `str`
        The chain.

    Returns
    -------
    children : `tuple` [`str`]
        In search order.

    Raises
    ------
    CollectionTypeError
        Raised if it is no chain.
    MissingCollectionError
        Raised if there is no such collection.
    """
    value = _value(snapshot, name)
    if "children" not in value:
        raise CollectionTypeError(
            f"collection {name!r} is of type {value['type']}, not CHAINED", hint="only a chain has children"
        )
    return tuple(value["children"])


def register_collection(
    snapshot: Snapshot, name: str, kind: CollectionType, doc: str | None = None
) -> Change | None:
    """Build the registration of a collection.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to check against.
    name : `str`
        Its name.
    kind : `CollectionType`
        Its type.
    doc : `str`, optional
        What it is for.

    Returns
    -------
    change : `Change` or `None`
        `None` if it is registered already.

    Raises
    ------
    ConflictingDefinitionError
        Raised if the name is taken by a collection of another type.
    """
    present = _state(snapshot).get(name)
    if present is not None:
        if present["type"] != kind.name:
            raise ConflictingDefinitionError(
                f"collection {name!r} is there already, of type {present['type']}, not {kind.name}",
                hint="choose another name",
            )
        return None
    check_collection_name(name)
    value: dict[str, Any] = {"type": kind.name, "doc": doc or ""}
    if kind is CollectionType.CHAINED:
        value["children"] = []
    change = Change()
    change.require(KIND, name)
    change.set(KIND, name, value)
    return change


def set_documentation(snapshot: Snapshot, name: str, doc: str | None) -> Change:
    """Build a change of what a collection's documentation says."""
    change = Change()
    change.require(KIND, name)
    change.set(KIND, name, {**_value(snapshot, name), "doc": doc or ""})
    return change


def edit_chain(snapshot: Snapshot, parent: str, mode: str, children: Sequence[str]) -> Change | None:
    """Build an edit of a chain.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to check against.
    parent : `str`
        The chain.
    mode : `str`
        ``redefine``, ``prepend``, ``extend`` or ``remove``.
    children : sequence of `str`
        What to put or take.

    Returns
    -------
    change : `Change` or `None`
        `None` if the chain stays as it is.

    Raises
    ------
    CollectionCycleError
        Raised if the chain would contain itself.
    CollectionTypeError
        Raised if ``parent`` is no chain.
    MissingCollectionError
        Raised if there is no such chain or child.
    """
    before = chain_children(snapshot, parent)
    value = _value(snapshot, parent)
    change = Change()
    change.require(KIND, parent)
    for child in dict.fromkeys(children):
        if mode != "remove":
            _value(snapshot, child)
            change.require(KIND, child)
        elif child not in before:
            _value(snapshot, child)
    after = {
        "redefine": lambda: tuple(dict.fromkeys(children)),
        "prepend": lambda: chain.prepend(before, children),
        "extend": lambda: chain.extend(before, children),
        "remove": lambda: chain.remove(before, children),
    }[mode]()
    if after == before:
        return None
    state = _state(snapshot)

    def lookup(name: str) -> tuple[str, ...] | None:
        found = state.get(name, {})
        return tuple(found["children"]) if "children" in found else None

    chain.check_cycle(parent, after, lookup)
    for name in chain.flatten(after, lookup, include_chains=True):
        if lookup(name) is not None:
            change.require(KIND, name)
    change.set(KIND, parent, {**value, "children": list(after)})
    return change


def dataset_tables(snapshot: Snapshot) -> list[str]:
    """Names of the lake's dataset tables.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.

    Returns
    -------
    names : `list` [`str`]
        The tables, by name.
    """
    return sorted(t for t in snapshot.schemas() if t.startswith(DATASET_PREFIX))


def summary(snapshot: Snapshot, names: Iterable[str]) -> dict[str, set[str]]:
    """Dataset types that collections hold.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    names : iterable of `str`
        Collections; chains are expanded.

    Returns
    -------
    collections : `dict` [`str`, `set` [`str`]]
        For each dataset type found, the collections that hold some of it.
    """
    wanted = set(flatten(snapshot, names))
    result: dict[str, set[str]] = {}
    for table in dataset_tables(snapshot):
        for (dataset_type, collection), rows in snapshot.scopes(table).items():
            if rows > 0 and collection in wanted:
                result.setdefault(dataset_type, set()).add(collection)
    return result


def remove_collection(snapshot: Snapshot, name: str) -> Change:
    """Build the removal of a collection and of the memberships in it.

    Parameters
    ----------
    snapshot : `Snapshot`
        The state to check against.
    name : `str`
        The collection.

    Returns
    -------
    change : `Change`
        The removal.

    Raises
    ------
    OrphanedRecordError
        Raised if the collection is a child of a chain, or a RUN that holds datasets.
    """
    value = _value(snapshot, name)
    above = parents(snapshot, name)
    if above:
        raise OrphanedRecordError(
            f"cannot remove collection {name!r}: it is in the chain(s) {', '.join(sorted(above))}",
            hint="take it out of the chains first (remove_from_chain)",
        )
    change = Change()
    change.exclusive = True  # datasets of any type may be added to it meanwhile
    change.require(KIND, name)
    for table in dataset_tables(snapshot):
        scopes = [scope for scope, rows in snapshot.scopes(table).items() if scope[1] == name and rows > 0]
        if not scopes:
            continue
        if value["type"] == CollectionType.RUN.name:
            _refuse_if_filled(snapshot, table, name)
        for scope in scopes:
            change.touch(table, scope)
        change.delete(table, ("collection",), [(name,)])
    change.set(KIND, name, None)
    return change


def _refuse_if_filled(snapshot: Snapshot, table: str, run: str) -> None:
    """Refuse the removal of a run with datasets; their number is known to be only an upper bound."""
    rows = snapshot.scan(table, columns=("dataset_type",), where={"collection": run})
    held = sorted(rows.column("dataset_type").unique().to_pylist())
    if held:
        raise OrphanedRecordError(
            f"cannot remove run {run!r}: it holds {rows.num_rows} datasets ({', '.join(held[:5])})",
            hint="removeRuns removes a run with its datasets and their files",
        )
