# SPDX-License-Identifier: BSD-3-Clause
"""A dataset with several files in the one row that a dataset has.

A dataset that was written in parts has, where others have the path of their file, a
text that begins with ``components://`` and goes on as a JSON object: for each
component its path or URI, formatter, storage class, size and checksum.  No path and no
URI begins so.  The text stands in the column ``path`` if any of its files is inside
the repository, else in ``uri``.  ``docs/design/009-components.md`` says why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from lakebutler.errors import RepositoryCorruptError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "COMPONENT_MAX",
    "PARTS",
    "StoredPart",
    "each_path",
    "is_parts",
    "join_parts",
    "parts_of",
    "paths_of",
    "with_parts",
]

PARTS = "components://"
"""How the text begins that stands for several files."""

COMPONENT_MAX = 255
"""Longest name of a component."""

_FIELDS = ("path", "uri", "formatter", "storage_class", "size", "checksum")
_TEXTS = ("path", "uri", "formatter", "storage_class", "checksum")


class StoredPart(NamedTuple):
    """The file of one component; as a `FileRecord`."""

    path: str | None
    uri: str | None
    formatter: str
    storage_class: str
    size: int
    checksum: str | None


def is_parts(text: str | None) -> bool:
    """Whether a path or URI of a record stands for several files.

    Parameters
    ----------
    text : `str` or `None`
        The path or URI.

    Returns
    -------
    several : `bool`
        True if it does.
    """
    return text is not None and text.startswith(PARTS)


def join_parts(parts: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Write the files of a dataset as one text.

    Parameters
    ----------
    parts : mapping [`str`, `StoredPart` or `FileRecord`]
        Files by component.

    Returns
    -------
    path, uri : `str` or `None`
        One of them is the text.
    """
    body = {
        name: {field: value for field, value in zip(_FIELDS, part, strict=True) if value is not None}
        for name, part in parts.items()
    }
    text = PARTS + json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return (text, None) if any(part.path is not None for part in parts.values()) else (None, text)


@lru_cache(maxsize=1000)
def parts_of(text: str) -> Mapping[str, StoredPart]:
    """Read the files of a dataset.

    Parameters
    ----------
    text : `str`
        As `join_parts` wrote it.

    Returns
    -------
    parts : mapping [`str`, `StoredPart`]
        Files by component, not to be changed.

    Raises
    ------
    RepositoryCorruptError
        Raised if it is malformed: it comes from the repository.
    """
    try:
        body = json.loads(text.removeprefix(PARTS))
        return _parts(body)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RepositoryCorruptError(
            f"the repository names the files of components wrongly: {error}: {text[:200]!r}",
            hint="it was not written by lakebutler; do not trust it",
        ) from None


def _parts(body: Any) -> dict[str, StoredPart]:
    if not body:
        raise ValueError("there is none")
    return {name: _part(name, facts) for name, facts in body.items()}


def _part(name: str, facts: Any) -> StoredPart:
    if not name.isidentifier() or len(name) > COMPONENT_MAX:
        raise ValueError(f"{name[:50]!r} is no component")
    part = StoredPart(*(facts.get(field) for field in _FIELDS))
    for field in _TEXTS:
        if not isinstance(facts.get(field), str | None):
            raise TypeError(f"the {field} of {name!r} is no text")
    if (
        (part.path is None) == (part.uri is None)
        or not facts.get("formatter")
        or "storage_class" not in facts
    ):
        raise ValueError(f"{name!r} has not one file and formatter")
    if is_parts(part.path) or is_parts(part.uri):
        raise ValueError(f"{name!r} has parts of its own")
    if type(part.size) is not int or part.size < 0:
        raise ValueError(f"{name!r} has no size")
    return part


def each_path(path: str) -> Iterator[str]:
    """Yield the paths that a record's path stands for: itself, or those of components inside.

    Parameters
    ----------
    path : `str`
        The path of a record.

    Yields
    ------
    path : `str`
        A path relative to the root.
    """
    if not path.startswith(PARTS):
        yield path
        return
    for part in parts_of(path).values():
        if part.path is not None:
            yield part.path


def paths_of(paths: Iterable[str], *, strict: bool = True) -> Iterator[str]:
    """Yield the paths that the paths of records stand for; see `each_path`.

    Parameters
    ----------
    paths : iterable of `str`
        Paths of records.
    strict : `bool`, optional
        Whether a malformed text is an error; otherwise it is passed over.

    Yields
    ------
    path : `str`
        Paths relative to the root.
    """
    for path in paths:
        if not path.startswith(PARTS):
            yield path
            continue
        try:
            yield from each_path(path)
        except RepositoryCorruptError:
            if strict:
                raise


def with_parts(table: pa.Table, *, strict: bool = True) -> pa.Table:
    """Give each file a row of its own, in a table with rows of datasets.

    Parameters
    ----------
    table : `pyarrow.Table`
        Rows; of the columns of files it has ``path`` or ``uri`` or both, and any others.
    strict : `bool`, optional
        Whether a malformed text is an error; otherwise its row stays as it is.

    Returns
    -------
    table : `pyarrow.Table`
        The same table if no dataset is in parts; else with their rows at the end, one for
        each file that the columns can say of.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    places = [name for name in ("path", "uri") if name in table.column_names]
    plain = [_plain(table.column(name)) for name in places]
    flags = [pc.fill_null(pc.starts_with(column, PARTS), False) for column in plain]
    several = flags[0] if len(flags) == 1 else pc.or_(*flags)
    if not pc.any(several).as_py():
        return table
    for i, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(i, field.name, _plain(table.column(i)))
    rows = []
    for row in table.filter(several).to_pylist():
        text = next(row[name] for name in places if is_parts(row[name]))
        try:
            parts = parts_of(text)
        except RepositoryCorruptError:
            if strict:
                raise
            rows.append(row)
            continue
        for part in parts.values():
            facts = {name: getattr(part, name) for name in _FIELDS if name in row}
            if any(facts[name] is not None for name in places):
                rows.append({**row, **facts})
    more = pa.Table.from_pylist(rows, schema=table.schema)
    return pa.concat_tables([table.filter(pc.invert(several)), more])


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
