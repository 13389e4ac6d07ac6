# SPDX-License-Identifier: BSD-3-Clause
"""The shape of what a repository says of its collections and dataset types.  Pure."""

from __future__ import annotations

from typing import Any

from lakebutler.lake.values import expect_values

__all__ = ["collection_problem", "dataset_type_problem"]

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


expect_values("collection", collection_problem)
expect_values("dataset_type", dataset_type_problem)
