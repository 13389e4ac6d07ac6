# SPDX-License-Identifier: BSD-3-Clause
"""Calibrations: which row of the registry is about which file, and when each is valid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakebutler.errors import ConflictingDefinitionError
from lakebutler.gen2.exposures import tai_of
from lakebutler.gen2.options import Options
from lakebutler.gen2.registry import CalibTable
from lakebutler.gen2.translate import Translated
from lakebutler.gen2.validity import (
    DAY,
    Resolved,
    ValidityRow,
    bounded,
    parse_time,
    resolve,
)
from lakebutler.timespan import MAX_NSEC, MIN_NSEC

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Certified", "Matches", "calib_dates", "certify", "match_rows", "rows_of_paths"]

_ALIASES = {
    "ccd": ("ccd", "ccdnum", "detector"),
    "ccdnum": ("ccdnum", "ccd", "detector"),
    "detector": ("detector", "ccdnum", "ccd"),
}
_NEVER = frozenset({"calibDate", "path", "extension", "hdu", "calib_hdu"})
_MIDNIGHT = "T00:00:00"


@dataclass
class Matches:
    """Which rows of a registry are about which files.

    Attributes
    ----------
    table : `CalibTable`
        The registry's table.
    pairs : `list` [`tuple` [`int`]]
        Position of a file and of a row.
    rows_without_file : `list` [`int`]
        Rows of which there is no file.
    files_without_row : `list` [`int`]
        Files of which there is no row.
    """

    table: CalibTable
    pairs: list[tuple[int, int]] = field(default_factory=list)
    rows_without_file: list[int] = field(default_factory=list)
    files_without_row: list[int] = field(default_factory=list)


@dataclass
class Certified:
    """Validity ranges of the files of a type.

    Attributes
    ----------
    positions, begins, ends : `list` [`int`]
        Position of a file, and a range in nanoseconds TAI.
    changes : `list` [`dict`]
        What differs from the registry.
    notes : `list` [`str`]
        What a person should know.
    texts : `list` [`tuple`]
        Position of a file, and the texts that begin and end a range in the registry.
    """

    positions: list[int] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    texts: list[tuple[int, str, str]] = field(default_factory=list)


def match_rows(files: Translated, table: CalibTable) -> Matches:
    """Find the rows about each file.

    Parameters
    ----------
    files : `Translated`
        Files of a type, with the keys of their paths.
    table : `CalibTable`
        The registry's table of this type.

    Returns
    -------
    matches : `Matches`
        Pairs, and what is left on both sides.
    """
    template = files.plan.template
    keys = [k for k in template.keys if k not in _NEVER]
    columns = {key: column for key in keys if (column := _column(table, key)) is not None}
    texts = [[_plain(v) for v in files.table.column(f"_{key}").to_pylist()] for key in columns]
    own = list(columns.values())
    unit = template.unit_key
    if unit in _ALIASES and "detector" in files.table.column_names:
        held = _column(table, unit or "")
        if held is not None and unit not in keys:
            texts.append([_plain(v) for v in files.table.column("detector").to_pylist()])
            own.append(held)
    dated = "calibDate" in template.keys and "calibdate" in table.columns
    if dated:
        texts.append([_date(v) for v in files.table.column("_calibDate").to_pylist()])
        own.append([_date(v) for v in table.columns["calibdate"]])
    if "path" in template.keys:
        texts.append(files.table.column("path").to_pylist())
        own.append(table.columns["path"])
    found: dict[tuple[str, ...], list[int]] = {}
    n = files.table.num_rows
    for i, key in enumerate(zip(*texts, strict=True) if texts else [()] * n):
        found.setdefault(key, []).append(i)
    matches = Matches(table)
    seen = set()
    rows = zip(*[[_plain(v) for v in column] for column in own], strict=True) if own else [()] * len(table)
    for j, key in enumerate(rows):
        here = found.get(key, ())
        if not here:
            matches.rows_without_file.append(j)
        for i in here:
            matches.pairs.append((i, j))
            seen.add(i)
    matches.files_without_row = [i for i in range(n) if i not in seen]
    return matches


def rows_of_paths(table: CalibTable) -> dict[str, list[int]]:
    """Index a registry that names its files.

    Parameters
    ----------
    table : `CalibTable`
        A table with a column ``path``.

    Returns
    -------
    rows : `dict` [`str`, `list` [`int`]]
        Rows by path; paths that lead out of the repository are left out.
    """
    found: dict[str, list[int]] = {}
    for i, path in enumerate(table.columns.get("path", ())):
        if isinstance(path, str) and path and not path.startswith("/") and ".." not in path.split("/"):
            found.setdefault(path, []).append(i)
    return found


def _column(table: CalibTable, key: str) -> Sequence[Any] | None:
    for name in _ALIASES.get(key, (key.lower(),)):
        if name in table.columns:
            return table.columns[name]
    return None


def _plain(value: Any) -> str:
    text = str(value)
    return (text.lstrip("0") or "0") if text.isdecimal() and text.isascii() else text


def _date(value: Any) -> str:
    return str(value).removesuffix(_MIDNIGHT)


def calib_dates(files: Translated, matches: Matches | None) -> list[str | None]:
    """Find the date of each calibration: of its path, of its row, or when it becomes valid.

    Parameters
    ----------
    files : `Translated`
        The files.
    matches : `Matches` or `None`
        Their rows.

    Returns
    -------
    dates : `list` [`str` or `None`]
        One for each file.
    """
    if "_calibDate" in files.table.column_names:
        return [_date(value) for value in files.table.column("_calibDate").to_pylist()]
    dates: list[str | None] = [None] * files.table.num_rows
    if matches is None:
        return dates
    columns = matches.table.columns
    own = columns.get("calibdate")
    for i, j in matches.pairs:
        text = _date((own or columns["validstart"])[j])
        held = dates[i]
        if held is None or (text > held if own else text < held):
            dates[i] = text
    return dates


def certify(files: Translated, matches: Matches, options: Options, scale: str) -> Certified:
    """Make the validity ranges of files.

    Parameters
    ----------
    files : `Translated`
        The files.
    matches : `Matches`
        Their rows.
    options : `Options`
        What happens to gaps and overlaps.
    scale : `str`
        Scale of the registry's times.

    Returns
    -------
    certified : `Certified`
        Ranges that do not overlap.

    Raises
    ------
    ConflictingDefinitionError
        Raised if the user forbids what there is.
    """
    done = Certified()
    kind = files.plan.name
    rows = _ranges(files, matches, scale, done)
    result = resolve(rows, gaps=options.gaps, overlaps=options.overlaps)
    if result.refused:
        shown = "; ".join(result.refused[:5])
        raise ConflictingDefinitionError(
            f"{len(result.refused)} validity ranges of {kind} are not permitted: {shown}",
            hint="nothing was written; --gaps close|keep and --overlaps next-start|midpoint settle them",
        )
    for found in result.ranges:
        begin, end = bounded(found.begin, found.end)
        done.positions.append(found.item)
        done.begins.append(begin)
        done.ends.append(end)
    _tell(files, result, rows, done)
    return done


def _ranges(files: Translated, matches: Matches, scale: str, done: Certified) -> list[ValidityRow]:
    kind, columns = files.plan.name, matches.table.columns
    names = [n for n in files.plan.dimensions if n in files.table.column_names]
    keys = list(zip(*[files.table.column(n).to_pylist() for n in names], strict=True))
    begins = [parse_time(text) for text in columns["validstart"]]
    ends = [parse_time(text, end=True) for text in columns["validend"]]
    rows = []
    good = [(i, j) for i, j in matches.pairs if begins[j] is not None and ends[j] is not None]
    bad = len(matches.pairs) - len(good)
    first = tai_of([begins[j] or 0 for _, j in good], scale)
    last = tai_of([ends[j] or 0 for _, j in good], scale)
    dated = {j: day for _, j in good if (day := parse_time(columns["validend"][j])) != ends[j]}
    days = dict(zip(dated, tai_of([day or 0 for day in dated.values()], scale), strict=True))
    for (i, j), begin, end in zip(good, first, last, strict=True):
        rows.append(ValidityRow(keys[i], begin, end, i, _rank(columns, j), days.get(j)))
        if begin < MIN_NSEC or end > MAX_NSEC:
            done.changes.append(
                _change(kind, keys[i], "unbounded beyond 1970 to 2100", begin, end, [bounded(begin, end)])
            )
    if bad:
        done.notes.append(f"{kind}: {bad} rows have no validity range that can be read; not certified")
    pairs = ((i, columns["validstart"][j], columns["validend"][j]) for i, j in matches.pairs)
    done.texts += [(i, a, b) for i, a, b in pairs if isinstance(a, str) and isinstance(b, str)]
    dates = sum(j in days for _, j in good)
    if dates:
        done.notes.append(f"{kind}: {dates} ranges end with a date; that day belongs to them")
    return rows


def _rank(columns: Mapping[str, Sequence[Any]], row: int) -> tuple[Any, ...]:
    """Where rows say the same range: the newest version, the last registered."""
    version = columns.get("version", columns.get("calibversion", ()))
    number = version[row] if version and isinstance(version[row], int | float) else 0
    texts = [str(columns[name][row]) for name in ("registered", "calibdate") if name in columns]
    return (number, *texts, row)


def _tell(files: Translated, result: Resolved, rows: Sequence[ValidityRow], done: Certified) -> None:
    kind = files.plan.name
    done.changes += [
        _change(kind, change.key, change.what, *change.before, change.after) for change in result.changes
    ]
    closed = _touching(rows)
    if closed:
        done.notes.append(f"{kind}: {closed} gaps of one day close, since ends are inclusive")


def _touching(rows: Sequence[ValidityRow]) -> int:
    """Pairs of ranges of one key that meet exactly, the first of which ended on a day."""
    begins = {(row.key, row.begin) for row in rows}
    return sum((row.key, row.end) in begins and row.end % DAY == 0 for row in rows)


def _change(
    kind: str, key: Sequence[Any], what: str, begin: int, end: int, after: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    return {
        "dataset_type": kind,
        "data_id": " ".join(map(str, key)),
        "what": what,
        "registry": _span(begin, end),
        "certified": ", ".join(_span(*piece) for piece in after) or "never",
    }


def _span(begin: int, end: int) -> str:
    from datetime import UTC, datetime, timedelta

    epoch = datetime(1970, 1, 1, tzinfo=UTC)

    def text(nsec: int) -> str:
        try:
            return f"{epoch + timedelta(microseconds=nsec // 1000):%Y-%m-%dT%H:%M:%S}"
        except OverflowError:
            return "far away"

    return f"[{text(begin)}, {text(end)})"


def catch_all_table(paths: pa.Table, table: CalibTable, index: Mapping[str, list[int]]) -> pa.Table:
    """Give the files that a registry names the keys that it tells of them.

    Parameters
    ----------
    paths : `pyarrow.Table`
        Files that there are.
    table : `CalibTable`
        The registry's table.
    index : mapping
        Its rows by path.

    Returns
    -------
    files : `pyarrow.Table`
        Columns ``path``, ``ccdnum``, and ``filter`` where it tells one; the best row of
        each file first.
    """
    import pyarrow as pa

    detector = _column(table, "ccdnum")
    filters = table.columns.get("filter", ())
    with_filter = any(str(f).upper() not in ("NONE", "") for f in filters)
    rows: dict[tuple[str, ...], tuple[Any, ...]] = {}
    for path in paths.column("path").to_pylist():
        for j in index.get(path, ()):
            key: tuple[str, ...] = (path, _plain(detector[j]) if detector is not None else "0")
            key += (str(filters[j]),) if with_filter else ()
            rows[key] = max(rows.get(key, ()), _rank(table.columns, j))
    names = ["path", "ccdnum", *(["filter"] if with_filter else [])]
    ordered = sorted(rows, key=lambda key: rows[key], reverse=True)
    columns = list(zip(*ordered, strict=True)) if ordered else [()] * len(names)
    return pa.table({n: pa.array(c, pa.string()) for n, c in zip(names, columns, strict=True)})
