# SPDX-License-Identifier: BSD-3-Clause
"""Arithmetic of validity ranges: pure.

Ranges are half-open ``[begin, end)`` in TAI nanoseconds, as in `Timespan`.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["overlap", "subtract"]

Span = tuple[int, int]


def overlap(a: Span, b: Span) -> bool:
    """Whether two ranges share an instant.

    Parameters
    ----------
    a, b : `tuple` [`int`, `int`]
        Begin and end; a range whose end is not after its begin is empty.

    Returns
    -------
    shared : `bool`
        False if either is empty.
    """
    return max(a[0], b[0]) < min(a[1], b[1])


def subtract(whole: Span, part: Span) -> Sequence[Span]:
    """What remains of a range.

    Parameters
    ----------
    whole, part : `tuple` [`int`, `int`]
        The range, and what is taken out of it.

    Returns
    -------
    rest : sequence of `tuple` [`int`, `int`]
        None, one or two ranges that are not empty.
    """
    if not overlap(whole, part):
        return (whole,)
    rest = []
    if whole[0] < part[0]:
        rest.append((whole[0], part[0]))
    if part[1] < whole[1]:
        rest.append((part[1], whole[1]))
    return tuple(rest)
