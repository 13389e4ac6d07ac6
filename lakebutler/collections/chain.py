# SPDX-License-Identifier: BSD-3-Clause
"""Arithmetic of chains: pure functions over names.

``lookup`` is always a function that gives the children of a chain, and `None` for
a collection that is no chain.  What it raises for an unknown name is passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lakebutler.errors import CollectionCycleError

__all__ = ["Lookup", "check_cycle", "extend", "find_cycle", "flatten", "prepend", "redefine", "remove"]

Lookup = Callable[[str], Sequence[str] | None]
"""Gives the children of a chain; `None` for other collections."""


def flatten(names: Iterable[str], lookup: Lookup, *, include_chains: bool = False) -> list[str]:
    """Expand chains, depth first, each collection once.

    Parameters
    ----------
    names : iterable of `str`
        Collections in search order.
    lookup : callable
        Gives the children of a chain.
    include_chains : `bool`, optional
        If `True`, chains stay in the list, each before its children.

    Returns
    -------
    names : `list` [`str`]
        Collections in search order.
    """
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = list(reversed(list(names)))
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        children = lookup(name)
        if children is None:
            found[name] = None
            continue
        if include_chains:
            found[name] = None
        waiting.extend(reversed(children))
    return list(found)


def find_cycle(parent: str, children: Iterable[str], lookup: Lookup) -> list[str] | None:
    """Find a way from a chain back to itself.

    Parameters
    ----------
    parent : `str`
        The chain.
    children : iterable of `str`
        What its children would be.
    lookup : callable
        Gives the children of other chains.

    Returns
    -------
    cycle : `list` [`str`] or `None`
        From ``parent`` to ``parent``; `None` if there is none.
    """
    came_from: dict[str, str] = {}
    waiting = [(child, parent) for child in reversed(list(children))]
    while waiting:
        name, source = waiting.pop()
        if name == parent:
            trail = [parent, source]
            while trail[-1] != parent:
                trail.append(came_from[trail[-1]])
            return trail[::-1]
        if name in came_from:
            continue
        came_from[name] = source
        waiting.extend((child, name) for child in reversed(lookup(name) or ()))
    return None


def check_cycle(parent: str, children: Iterable[str], lookup: Lookup) -> None:
    """Refuse a chain that would contain itself.

    Parameters
    ----------
    parent : `str`
        The chain.
    children : iterable of `str`
        What its children would be.
    lookup : callable
        Gives the children of other chains.

    Raises
    ------
    CollectionCycleError
        If it would; the message shows the way round.
    """
    cycle = find_cycle(parent, children, lookup)
    if cycle is not None:
        raise CollectionCycleError(
            f"chain {parent!r} would contain itself: {' -> '.join(cycle)}",
            hint=f"take {parent!r} out of {cycle[-2]!r} first" if len(cycle) > 2 else None,
        )


def redefine(children: Iterable[str]) -> tuple[str, ...]:
    """Children of a chain that is defined anew.

    Parameters
    ----------
    children : iterable of `str`
        The children; of repeated ones the first place counts.

    Returns
    -------
    children : `tuple` [`str`]
        Each once.
    """
    return tuple(dict.fromkeys(children))


def prepend(before: Sequence[str], children: Iterable[str]) -> tuple[str, ...]:
    """Put children at the front of a chain.

    Parameters
    ----------
    before : sequence of `str`
        Children now.
    children : iterable of `str`
        Children to be searched first; those already there move.

    Returns
    -------
    after : `tuple` [`str`]
        Each once.
    """
    return tuple(dict.fromkeys((*children, *before)))


def extend(before: Sequence[str], children: Iterable[str]) -> tuple[str, ...]:
    """Put children at the end of a chain.

    Parameters
    ----------
    before : sequence of `str`
        Children now.
    children : iterable of `str`
        Children to be searched last; those already there move.

    Returns
    -------
    after : `tuple` [`str`]
        Each once.
    """
    new = redefine(children)
    moved = set(new)
    return (*(name for name in before if name not in moved), *new)


def remove(before: Sequence[str], children: Iterable[str]) -> tuple[str, ...]:
    """Take children out of a chain.

    Parameters
    ----------
    before : sequence of `str`
        Children now.
    children : iterable of `str`
        Children to take out; those not there are ignored.

    Returns
    -------
    after : `tuple` [`str`]
        The others, in their order.
    """
    gone = set(children)
    return tuple(name for name in before if name not in gone)
