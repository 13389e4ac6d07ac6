# SPDX-License-Identifier: BSD-3-Clause
"""Sort rows by pixel, more than memory holds: sorted runs on disk, then one pixel after another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["Shards"]

_RUN_BYTES = 128_000_000


class Shards:
    """Rows, taken in any order and given back pixel by pixel.

    Parameters
    ----------
    scratch : `str`
        A directory for what does not fit in memory; about the size of all rows.
    run_bytes : `int`, optional
        How much is kept in memory before it is sorted and written.
    """

    def __init__(self, scratch: str, run_bytes: int = _RUN_BYTES) -> None:
        self._scratch = scratch
        self._run_bytes = run_bytes
        self._waiting: list[tuple[pa.Table, NDArray[np.int64]]] = []
        self._bytes = 0
        self._runs: list[tuple[str, dict[int, tuple[int, int]]]] = []
        self.rows = 0

    def add(self, rows: pa.Table, pixels: NDArray[np.int64]) -> None:
        """Take rows.

        Parameters
        ----------
        rows : `pyarrow.Table`
            Rows, always of the same schema.
        pixels : `numpy.ndarray` of `int`, (n,)
            The pixel of each.
        """
        if not rows.num_rows:
            return
        self.rows += rows.num_rows
        self._waiting.append((rows, pixels))
        self._bytes += rows.nbytes
        if self._bytes >= self._run_bytes:
            self._flush()

    def _flush(self) -> None:
        """Sort what is waiting and write it as a run."""
        import numpy as np
        import pyarrow as pa

        if not self._waiting:
            return
        table = pa.concat_tables([rows for rows, _ in self._waiting])
        pixels = np.concatenate([numbers for _, numbers in self._waiting])
        self._waiting, self._bytes = [], 0
        order = np.argsort(pixels, kind="stable")
        numbers, first, count = np.unique(pixels[order], return_index=True, return_counts=True)
        path = os.path.join(self._scratch, f"run-{len(self._runs)}.arrow")
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table.take(pa.array(order)))
        places = zip(first.tolist(), count.tolist(), strict=True)
        self._runs.append((path, dict(zip(numbers.tolist(), places, strict=True))))

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """Yield each pixel with its rows, in the order in which they came."""
        import pyarrow as pa

        self._flush()
        opened = []
        for path, places in self._runs:
            # Mapped, not read: the system drops again what was looked at.
            opened.append((pa.ipc.open_file(pa.memory_map(path)).read_all(), places))
        for pixel in sorted({number for _, places in opened for number in places}):
            parts = [table.slice(*places[pixel]) for table, places in opened if pixel in places]
            yield pixel, pa.concat_tables(parts)

    def __len__(self) -> int:
        """How many pixels have rows."""
        self._flush()
        return len({number for _, places in self._runs for number in places})
