# SPDX-License-Identifier: BSD-3-Clause
"""Decide what of a batch is new, the same, or in conflict: pure.

The deck's rule for ingest: fetch what is there in one look-up in advance and
decide in Python; no exception-driven conflict handling, no savepoint.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

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
    conflicting : `list` [`int`]
        Positions that cannot be added; `reason` says why.
    holders : mapping [`int`, `bytes`]
        For positions whose data ID is taken: the 16 bytes of the ID that holds it.
    places : mapping [`int`, `str`]
        For positions whose dataset ID exists elsewhere: where (type and run).
    """

    new: list[int]
    same: list[int]
    conflicting: list[int]
    holders: Mapping[int, bytes] = field(default_factory=dict)
    places: Mapping[int, str] = field(default_factory=dict)

    def reason(self, position: int) -> str:
        """Say why a dataset of the batch cannot be added.

        Parameters
        ----------
        position : `int`
            One of ``conflicting``.
        """
        holder = self.holders.get(position)
        if holder is not None:
            return f"its data ID is taken by dataset {uuid.UUID(bytes=holder)}"
        return f"its ID is that of {self.places[position]}"


def decide(ids: Sequence[bytes], by_key: Mapping[int, bytes], by_id: Mapping[int, str]) -> Verdict:
    """Compare a batch with what was found.

    Parameters
    ----------
    ids : sequence of `bytes`
        Dataset ID of each item of the batch, 16 bytes each.
    by_key : mapping [`int`, `bytes`]
        For positions whose data ID is taken in the run: the ID that holds it.
    by_id : mapping [`int`, `str`]
        For positions whose dataset ID exists: where (type and run).

    Returns
    -------
    verdict : `Verdict`
        Every position once.
    """
    if not by_key and not by_id:
        return Verdict(list(range(len(ids))), [], [])
    same = sorted(i for i, holder in by_key.items() if holder == ids[i])
    there = set(same)
    conflicting = sorted((by_key.keys() | by_id.keys()) - there)
    there.update(conflicting)
    new = [i for i in range(len(ids)) if i not in there] if len(there) < len(ids) else []
    return Verdict(new, same, conflicting, by_key, by_id)


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
