# SPDX-License-Identifier: BSD-3-Clause
"""One version of the lake, and what is read of it in bulk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.lake.matching import distinct, match, scan
from lakebutler.lake.tables import Tables

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Snapshot"]


class Snapshot(Tables):
    """One version of every table and value; it never changes.

    Parameters
    ----------
    head : `Head`
        Which version.
    state : `LakeState`
        Where it is read from.
    """

    __slots__ = ()

    def match(
        self,
        table: str,
        columns: tuple[str, ...],
        keys: pa.Table,
        select: Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> pa.Table:
        """Return the rows whose columns equal a row of ``keys``.

        Parameters
        ----------
        table : `str`
            Name of the table.
        columns : `tuple` [`str`]
            Any columns of it.
        keys : `pyarrow.Table`
            Has columns of these names.
        select : sequence of `str`, optional
            The columns to return; all by default.
        where : mapping, optional
            A value, or a list of values, that a column must have.

        Returns
        -------
        rows : `pyarrow.Table`
            The columns asked for, and ``_key``, the number of the row in
            ``keys``; in no particular order.
        """
        return match(self, table, columns, keys, select, where or {})

    def scan(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        within: Mapping[str, tuple[int | None, int | None]] | None = None,
    ) -> pa.Table:
        """Return rows, in no particular order.

        Parameters
        ----------
        table : `str`
            Name of the table.
        columns : sequence of `str`, optional
            The columns to return; all by default.
        where : mapping, optional
            A value, or a list of values, that a column must have.
        within : mapping, optional
            The least and the greatest number that a column may have, `None` for any;
            files in which none fits are passed over.
        """
        return scan(self, table, columns, where or {}, within or {})

    def distinct(self, table: str, column: str, where: Mapping[str, Any] | None = None) -> set[Any]:
        """Return the values that a column has.

        Parameters
        ----------
        table : `str`
            Name of the table.
        column : `str`
            One of its sort columns: few rows are read if it is constant in long stretches.
        where : mapping, optional
            A value, or a list of values, that a column must have.
        """
        return distinct(self, table, column, where or {})
