# SPDX-License-Identifier: BSD-3-Clause
"""Where the row with an id is, among many files."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebutler.lake.segment import Segment

if TYPE_CHECKING:
    import numpy as np

__all__ = ["IdIndex"]

_MOST_PIECES = 6


@dataclass(frozen=True, slots=True)
class _Piece:
    """Ids of some segments in order, and where each stands."""

    ids: np.ndarray[Any, Any]
    segment: np.ndarray[Any, Any]
    row: np.ndarray[Any, Any]


class IdIndex:
    """An index of the ids of a growing list of segments, made when first asked.

    Pieces are joined as they become many, so that a look-up searches few of them.
    It takes 14 bytes a row.
    """

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []
        self._known: list[Segment] = []
        self._lock = threading.Lock()

    def find(self, segments: list[Segment], wanted: uuid.UUID) -> Iterator[tuple[int, int]]:
        """Yield the places (number of the segment, row) where an id may be.

        Parameters
        ----------
        segments : `list` [`Segment`]
            All segments; it may only have grown since the last call.
        wanted : `uuid.UUID`
            The id; only its first eight bytes are compared.
        """
        if len(self._known) < len(segments):
            with self._lock:
                self._extend(segments)
        number = wanted.int >> 64
        for piece in list(self._pieces):
            code = piece.ids.dtype.type(number)
            low = int(piece.ids.searchsorted(code, "left"))
            while low < len(piece.ids) and piece.ids[low] == code:
                yield int(piece.segment[low]), int(piece.row[low])
                low += 1

    def _extend(self, segments: list[Segment]) -> None:
        import numpy as np

        pieces = list(self._pieces)
        for place in range(len(self._known), len(segments)):
            ids = segments[place].ids()
            order = np.argsort(ids)
            numbers = np.full(len(ids), place, np.uint16 if place < 65536 else np.uint32)
            pieces.append(_Piece(ids[order], numbers, order.astype(np.uint32)))
            self._known.append(segments[place])
        while len(pieces) > _MOST_PIECES:
            pieces.sort(key=lambda piece: -len(piece.ids))
            smallest = pieces[_MOST_PIECES // 2 :]
            pieces = [*pieces[: _MOST_PIECES // 2], _join(smallest)]
        self._pieces = pieces


def _join(pieces: list[_Piece]) -> _Piece:
    import numpy as np

    ids = np.concatenate([piece.ids for piece in pieces])
    order = np.argsort(ids)
    segment = np.concatenate([piece.segment for piece in pieces])
    row = np.concatenate([piece.row for piece in pieces])
    return _Piece(ids[order], segment[order], row[order])
