# SPDX-License-Identifier: BSD-3-Clause
"""What the layers above say their named values look like.

The lake keeps values without knowing what they mean; but a log may come from a
stranger, and a value of another shape is best refused where it is read, once, with the
name of the entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["check_value", "expect_values"]

Check = Callable[[str, Any], str | None]
_checks: dict[str, Check] = {}


def expect_values(kind: str, check: Check) -> None:
    """Say what the values of a kind look like.

    Parameters
    ----------
    kind : `str`
        Kind of state.
    check : callable
        Given a name and its value (not `None`), says what is wrong, or `None`.
    """
    _checks[kind] = check


def check_value(kind: object, name: object, value: Any) -> None:
    """Refuse a value that is not as its kind has it.

    Raises
    ------
    ValueError
        Raised if it is not.
    """
    if not isinstance(kind, str) or not isinstance(name, str):
        raise ValueError(f"a value has the kind {kind!r:.80} and the name {name!r:.80}")  # noqa: TRY004
    check = _checks.get(kind)
    problem = check(name, value) if check is not None and value is not None else None
    if problem is not None:
        raise ValueError(f"the {kind} {name!r:.120}: {problem}")
