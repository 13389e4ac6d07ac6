# SPDX-License-Identifier: BSD-3-Clause
"""Decide what of a batch is new, the same, or in conflict: pure.

The deck's rule for ingest: fetch what is there in one look-up in advance and
decide in Python; no exception-driven conflict handling, no savepoint.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Verdict", "decide", "repeated"]


@dataclass(frozen=True)
class Verdict:
    """What became of a batch.

    Attributes
    ----------
    new : `list` [`int`]
        Positions in the batch that are to be added.
    same : `list` [`int`]
        Positions whose dataset is there already, under the same data ID and ID.
    conflicting : `list` [`tuple` [`int`, `str`]]
        Positions that cannot be added, each with the reason.
    """

    new: list[int]
    same: list[int]
    conflicting: list[tuple[int, str]]


def decide(
    ids: Sequence[uuid.UUID],
    by_key: Mapping[int, uuid.UUID],
    by_id: Mapping[int, str],
) -> Verdict:
    """Compare a batch with what was found.

    Parameters
    ----------
    ids : sequence of `uuid.UUID`
        Dataset ID of each item of the batch.
    by_key : mapping [`int`, `uuid.UUID`]
        For positions whose data ID is taken in the run: the ID that holds it.
    by_id : mapping [`int`, `str`]
        For positions whose dataset ID exists: where (run and data ID).

    Returns
    -------
    verdict : `Verdict`
        Every position once.
    """
    if not by_key and not by_id:
        return Verdict(list(range(len(ids))), [], [])
    new: list[int] = []
    same: list[int] = []
    conflicting: list[tuple[int, str]] = []
    for i, dataset_id in enumerate(ids):
        holder = by_key.get(i)
        if holder is not None:
            if holder == dataset_id:
                same.append(i)
            else:
                conflicting.append((i, f"its data ID is taken by dataset {holder}"))
        elif i in by_id:
            conflicting.append((i, f"its ID {dataset_id} is that of {by_id[i]}"))
        else:
            new.append(i)
    return Verdict(new, same, conflicting)


def repeated(keys: Iterable[object]) -> int | None:
    """Find the first key that occurs twice.

    Parameters
    ----------
    keys : iterable
        Hashable keys.

    Returns
    -------
    position : `int` or `None`
        Where the first repetition stands; `None` if there is none.
    """
    seen: set[object] = set()
    for i, key in enumerate(keys):
        if key in seen:
            return i
        seen.add(key)
    return None
