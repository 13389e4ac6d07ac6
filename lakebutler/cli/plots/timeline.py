# SPDX-License-Identifier: BSD-3-Clause
"""``plot timeline``: exposures against time."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from lakebutler.cli.plots.columns import plain_value
from lakebutler.cli.select import with_only_governors
from lakebutler.cli.session import counted, listed
from lakebutler.errors import DatasetNotFoundError, InvalidQueryError, known_names

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler

__all__ = ["plot_timeline"]


def plot_timeline(
    butler: Butler, target: str, *, where: str | None, instrument: str | None, colour: str
) -> None:
    """Draw exposures against time, a row for each day of observing.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    target : `str`
        The picture.
    where : `str` or `None`
        Which exposures.
    instrument : `str` or `None`
        Only those of this one.
    colour : `str`
        Column of the table of exposures that colours them.

    Raises
    ------
    DatasetNotFoundError
        Raised if no exposure fits.
    InvalidQueryError
        Raised if there is no such column, or a day of observing is no date.
    """
    from lakebutler.butler.querying import sql_table
    from lakebutler.viz.timeline import Bar, save_timeline

    table = sql_table(
        butler, "SELECT * FROM exposure WHERE timespan_end > timespan_begin ORDER BY timespan_begin"
    )
    if colour not in table.column_names:
        raise InvalidQueryError(
            f"an exposure has no {colour!r}", hint=known_names(colour, table.column_names)
        )
    limits: dict[str, Any] = {"instrument": instrument} if instrument else {}
    asked = with_only_governors(butler, where)
    found = asked.query_data_ids("exposure", where=where or "", explain=False, **limits)
    chosen = {(data_id["instrument"], data_id["exposure"]) for data_id in found}
    names = ("instrument", "exposure", "day_obs", "timespan_begin", "timespan_end", colour)
    columns = [table.column(name).to_pylist() for name in names]
    taken = [row for row in zip(*columns, strict=True) if row[:2] in chosen]
    if not taken:
        raise DatasetNotFoundError("no exposure with a time fits")
    cameras = sorted({row[0] for row in taken})
    bars = []
    for camera, _, number, begin, end, value in taken:
        day = str(number)
        try:
            midnight = (date.fromisoformat(day) - date(1970, 1, 1)).days * 24
        except ValueError:
            raise InvalidQueryError(f"{camera}: day_obs {day} is no date YYYYMMDD") from None
        night = day if len(cameras) == 1 else f"{camera} {day}"
        word = str(value) if colour in butler.dimensions.dimensions.names else plain_value(value)
        bars.append(Bar(night, begin / 3.6e12 - midnight, end / 3.6e12 - midnight, word))
    save_timeline(
        bars,
        target,
        title=f"{listed(cameras)}: {counted(len(bars), 'exposure')}",
        label=colour,
        hours="hours since 0:00 TAI of the day of observing",
    )
