# SPDX-License-Identifier: BSD-3-Clause
"""The shape of what a repository says of its collections and dataset types.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lakebutler.errors import RepositoryCorruptError
from lakebutler.lake.snapshot import Snapshot

__all__ = ["CheckedValues", "collection_problem", "collections_of", "dataset_types_of"]

_TYPES = frozenset({"RUN", "TAGGED", "CHAINED", "CALIBRATION"})
_LONGEST = 1024


def collection_problem(name: str, value: Any) -> str | None:
    """Say what is wrong with the description of a collection.

    Parameters
    ----------
    name : `str`
        Its name.
    value : object
        What is said of it.

    Returns
    -------
    problem : `str` or `None`
        `None` if it is fine.
    """
    if not name or len(name) > _LONGEST:
        return f"a name has 1 to {_LONGEST} characters"
    if not isinstance(value, dict) or not isinstance(value.get("type"), str) or value["type"] not in _TYPES:
        return "it has no type"
    children = value.get("children", ())
    if not isinstance(children, list | tuple) or not all(isinstance(child, str) for child in children):
        return "its children are no list of names"
    if not isinstance(value.get("doc", ""), str):
        return "its documentation is no text"
    return None


def dataset_type_problem(name: str, value: Any) -> str | None:
    """Say what is wrong with the description of a dataset type.

    Parameters
    ----------
    name : `str`
        Its name.
    value : object
        What is said of it.

    Returns
    -------
    problem : `str` or `None`
        `None` if it is fine.
    """
    if not name or len(name) > _LONGEST:
        return f"a name has 1 to {_LONGEST} characters"
    if not isinstance(value, dict):
        return "it is not described"
    dimensions = value.get("dimensions")
    if not isinstance(dimensions, list | tuple) or not all(isinstance(d, str) for d in dimensions):
        return "its dimensions are no list of names"
    storage_class = value.get("storage_class")
    if not isinstance(storage_class, str) or not 0 < len(storage_class) <= _LONGEST:
        return "it has no storage class"
    return None


class CheckedValues(Mapping[str, Any]):
    """Named values of a snapshot; one of another shape is refused when it is asked for.

    Parameters
    ----------
    values : mapping
        As the repository has them.
    what : `str`
        What one is, for the message.
    problem : callable
        Given a name and its value, says what is wrong.
    """

    __slots__ = ("_problem", "_values", "_what")

    def __init__(
        self, values: Mapping[str, Any], what: str, problem: Callable[[str, Any], str | None]
    ) -> None:
        self._values = values
        self._what = what
        self._problem = problem

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        problem = self._problem(name, value)
        if problem is not None:
            raise RepositoryCorruptError(
                f"the repository's {self._what} {name!r} makes no sense: {problem}",
                hint="it was not written by lakebutler; do not trust it",
            )
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values


def collections_of(snapshot: Snapshot) -> Mapping[str, Any]:
    """Descriptions of the collections there are, by name."""
    return CheckedValues(snapshot.state("collection"), "collection", collection_problem)


def dataset_types_of(snapshot: Snapshot) -> Mapping[str, Any]:
    """Descriptions of the dataset types there are, by name."""
    return CheckedValues(snapshot.state("dataset_type"), "dataset type", dataset_type_problem)
