# SPDX-License-Identifier: BSD-3-Clause
"""Tables of keys as sets: each key once, and the rows that have one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["distinct", "having"]


def distinct(table: pa.Table) -> pa.Table:
    """Return the different rows of a table.

    Parameters
    ----------
    table : `pyarrow.Table`
        Columns without floats or nested values.

    Returns
    -------
    rows : `pyarrow.Table`
        Each row once, in no particular order.
    """
    import numpy as np

    if not table.num_columns:
        return table.slice(0, 1)
    _, first = np.unique(_codes([table])[0], return_index=True)
    return table.take(first)


def having(table: pa.Table, keys: pa.Table) -> pa.Table:
    """Return the rows of a table that have one of some keys.

    Parameters
    ----------
    table : `pyarrow.Table`
        Has the columns of ``keys``, and perhaps others.
    keys : `pyarrow.Table`
        The keys.

    Returns
    -------
    rows : `pyarrow.Table`
        In the order they have in ``table``.
    """
    import numpy as np
    import pyarrow as pa

    names = keys.column_names
    if not names:
        return table if keys.num_rows else table.slice(0, 0)
    mine, theirs = _codes([table.select(names), keys])
    keep = np.isin(mine, theirs)
    return table if keep.all() else table.filter(pa.array(keep))


def _codes(tables: Sequence[pa.Table]) -> list[Any]:
    """Number the rows of some tables with the same columns: equal rows have equal numbers."""
    import numpy as np
    import pyarrow as pa

    total = np.zeros(sum(table.num_rows for table in tables), np.int64)
    for name in tables[0].column_names:
        chunks = [chunk for table in tables for chunk in table.column(name).chunks]
        plain = [c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in chunks]
        if not plain:
            continue
        encoded = pa.concat_arrays([c.cast(plain[0].type) for c in plain]).dictionary_encode("encode")
        if len(encoded.dictionary) > 1:
            total = total * len(encoded.dictionary) + encoded.indices.to_numpy()
            if total.max(initial=0) > _DENSE_FROM:
                total = np.unique(total, return_inverse=True)[1]
    ends = np.cumsum([table.num_rows for table in tables])[:-1]
    return list(np.split(total, ends))


_DENSE_FROM = 2**31
"""From this number on, numbers are made dense again, so that the next product cannot overflow."""
