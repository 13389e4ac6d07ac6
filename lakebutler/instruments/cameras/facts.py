# SPDX-License-Identifier: BSD-3-Clause
"""What all sections of a camera file are read with; every fault says where it is.

Each function takes a value as YAML gives it and the place it stands at, and raises
`Fault` if the value is of another kind.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lakebutler.errors import known_names

__all__ = [
    "Fault",
    "as_mapping",
    "as_number",
    "as_numbers",
    "as_sequence",
    "as_table",
    "as_text",
    "as_whole",
]


class Fault(Exception):
    """Where and what; becomes an `InstrumentError` with the name of the file."""


def as_mapping(value: Any, where: str, words: Iterable[str] | None = None) -> Mapping[str, Any]:
    """Check that a value is a mapping, and that its keys are known ones."""
    if not isinstance(value, dict):
        raise Fault(f"{where}: expected a mapping, got {'nothing' if value is None else repr(value)[:40]}")
    if words is not None:
        for key in value:
            if key not in set(words):
                raise Fault(f"{where}: unknown word {key!r}; {known_names(str(key), words, what='known')}")
    return value


def as_sequence(value: Any, where: str) -> Sequence[Any]:
    """Check that a value is a list."""
    if not isinstance(value, list):
        raise Fault(f"{where}: expected a list, got {'nothing' if value is None else repr(value)[:40]}")
    return value


def as_table(
    facts: Any, where: str, columns: Sequence[str], *, needed: Sequence[str]
) -> Sequence[Mapping[str, Any]]:
    """Read ``columns`` and ``rows`` into one mapping per row."""
    part = as_mapping(facts, where, {"columns", "rows"})
    given = [str(c) for c in as_sequence(part.get("columns"), f"{where}: columns")]
    for column in given:
        if column not in columns:
            hint = known_names(column, columns, what="columns")
            raise Fault(f"{where}: unknown column {column!r}; {hint}")
    for column in needed:
        if column not in given:
            raise Fault(f"{where}: column {column!r} is missing")
    if len(set(given)) != len(given):
        raise Fault(f"{where}: a column occurs twice")
    rows = []
    for number, row in enumerate(as_sequence(part.get("rows"), f"{where}: rows"), 1):
        cells = as_sequence(row, f"{where}: row {number}")
        if len(cells) != len(given):
            raise Fault(f"{where}: row {number} has {len(cells)} cells for {len(given)} columns")
        rows.append(dict(zip(given, cells, strict=True)))
    return rows


def as_text(facts: Mapping[str, Any], key: str, where: str) -> str:
    """Take a text that is not empty out of a mapping."""
    value = facts.get(key)
    if not isinstance(value, str) or not value:
        raise Fault(f"{where}: {key} is missing or no text")
    return value


def as_whole(value: Any, where: str) -> int:
    """Check that a value is an integer."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise Fault(f"{where}: expected an integer, got {value!r}")
    return value


def as_number(value: Any, where: str) -> float:
    """Check that a value is a number."""
    if isinstance(value, str):  # YAML 1.1 reads 1e-5 as text
        with contextlib.suppress(ValueError):
            value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Fault(f"{where}: expected a number, got {value!r}")
    with contextlib.suppress(OverflowError):
        if math.isfinite(value):
            return float(value)
    raise Fault(f"{where}: {value!r} is no finite number")


def as_numbers(value: Any, where: str) -> tuple[float, ...]:
    """Check that a value is a list of numbers."""
    return tuple(as_number(v, where) for v in as_sequence(value, where))
