# SPDX-License-Identifier: BSD-3-Clause
"""Exports as YAML that ``lsst.daf.butler`` imports, written line by line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from lakebutler.butler.exchange.import_bundle import Collection
from lakebutler.butler.exchange.import_records import FORMAT_VERSION, OWN_FORMATTER
from lakebutler.collections.collection import CollectionType
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datasets.stored_parts import is_parts, parts_of
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import FileFormatError
from lakebutler.registry.schema import DatasetLayout
from lakebutler.timespan import MAX_NSEC, MIN_NSEC

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FOREIGN_FORMATTERS", "yaml_lines"]

FOREIGN_FORMATTERS = {
    "camera": "lsst.daf.butler.formatters.json.JsonFormatter",
    "ecsv": "lsst.daf.butler.formatters.astropyTable.AstropyTableFormatter",
    "figure": "lsst.daf.butler.formatters.matplotlib.MatplotlibFormatter",
    "json": "lsst.daf.butler.formatters.json.JsonFormatter",
    "parquet": "lsst.daf.butler.formatters.parquet.ParquetFormatter",
    "pickle": "lsst.daf.butler.formatters.pickle.PickleFormatter",
    "yaml": "lsst.daf.butler.formatters.yaml.YamlFormatter",
}
"""Our keys, and what reads the same files there."""

_OTHER = "lsst.daf.butler.formatters.file.FileFormatter"
"""What the field is told of formats that it has no formatter for: it can keep and move the files."""

_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_EPOCH = datetime.fromisoformat("1970-01-01 00:00:00")
_REGIONS = {
    b"b": "Box",
    b"c": "Circle",
    b"e": "Ellipse",
    b"p": "ConvexPolygon",
    b"u": "UnionRegion",
    b"i": "IntersectionRegion",
}


def yaml_lines(
    universe: DimensionUniverse,
    records: Mapping[str, Sequence[DimensionRecord]],
    collections: Mapping[str, Collection],
    types: Mapping[str, DatasetType],
    datasets: Mapping[DatasetLayout, pa.Table],
    members: Mapping[DatasetLayout, pa.Table],
) -> Iterator[str]:
    """Write an export.

    Parameters
    ----------
    universe : `DimensionUniverse`
        The repository's dimensions.
    records, collections, types, datasets, members : mapping
        As in a `lakebutler.butler.exchange.import_bundle.Bundle`; the files of the datasets as
        ``path`` or ``uri``.

    Yields
    ------
    text : `str`
        Some lines.
    """
    yield (
        "description: Butler Data Repository Export\n"
        f"version: {'.'.join(map(str, FORMAT_VERSION))}\n"
        f"universe_version: {universe.version}\nuniverse_namespace: {_text(universe.namespace)}\n"
    )
    if not (records or collections or datasets or members):
        yield "data: []\n"
        return
    yield "data:\n"
    for name, some in records.items():
        yield from _dimension(name, some)
    for name, collection in _ordered(collections):
        yield _collection(name, collection)
    yield from _datasets(types, datasets)
    yield from _associations(members.values(), collections)


def _text(value: str) -> str:
    """A double-quoted text; JSON is YAML but for a few characters."""
    return _UNSAFE.sub(lambda m: f"\\u{ord(m.group()):04x}", json.dumps(value, ensure_ascii=False))


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, bytes):
        import base64

        return f"!!binary {base64.b64encode(value).decode()}"
    return _text(value)


def _float(value: float) -> str:
    """A number with a point: YAML 1.1 does not take ``1e22`` for one."""
    if not math.isfinite(value):
        return {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}[str(value)]
    text = repr(value)
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def _time(nsec: int) -> str:
    seconds, rest = divmod(nsec, 1_000_000_000)
    when = _EPOCH + timedelta(seconds=seconds)
    return f"!butler_time/tai/iso '{when:%Y-%m-%d %H:%M:%S}.{rest:09d}'"


def _bounds(begin: int, end: int) -> tuple[str, str]:
    return (
        "null" if begin <= MIN_NSEC else _time(begin),
        "null" if end >= MAX_NSEC else _time(end),
    )


# ------------------------------------------------------------------------- entries


def _dimension(name: str, records: Sequence[DimensionRecord]) -> Iterator[str]:
    yield f"- type: dimension\n  element: {name}\n  records:\n"
    layout = records[0].layout
    for record in sorted(records, key=lambda r: r.to_row()[: len(r.definition.required)]):
        row = record.to_row()
        lines = [f"{column.name}: {_scalar(row[i])}" for i, column in enumerate(layout.plain)]
        if layout.region >= 0:
            lines.append(_region(row[layout.region]))
        if layout.timespan >= 0:
            begin, end = row[layout.timespan], row[layout.timespan + 1]
            shown = ("null", "null") if begin is None else _bounds(begin, end)
            lines += [f"datetime_begin: {shown[0]}", f"datetime_end: {shown[1]}"]
        yield "  - " + "\n    ".join(lines) + "\n"


def _region(encoded: bytes | None) -> str:
    if encoded is None:
        return "region: null"
    name = _REGIONS.get(encoded[:1])
    if name is None:
        raise FileFormatError(f"a region begins with {encoded[:1]!r}, which the field has no name for")
    return f"region: !<lsst.sphgeom.{name}>\n      encoded: {encoded.hex()}"


def _ordered(collections: Mapping[str, Collection]) -> list[tuple[str, Collection]]:
    """Chains last, each behind those that it holds."""
    plain = sorted(n for n, c in collections.items() if c.kind is not CollectionType.CHAINED)
    waiting = sorted(set(collections) - set(plain))
    done = list(plain)
    while waiting:
        free = [n for n in waiting if not set(collections[n].children) & set(waiting)]
        done += free
        waiting = [n for n in waiting if n not in free]
    return [(name, collections[name]) for name in done]


def _collection(name: str, collection: Collection) -> str:
    lines = [
        "- type: collection",
        f"  collection_type: {collection.kind.name}",
        f"  name: {_text(name)}",
    ]
    if collection.doc:
        lines.append(f"  doc: {_text(collection.doc)}")
    if collection.kind is CollectionType.RUN:
        lines += ["  host: null", "  timespan_begin: null", "  timespan_end: null"]
    if collection.kind is CollectionType.CHAINED:
        lines.append("  children:" if collection.children else "  children: []")
        lines += [f"  - {_text(child)}" for child in collection.children]
    return "\n".join(lines) + "\n"


def _datasets(types: Mapping[str, DatasetType], datasets: Mapping[DatasetLayout, pa.Table]) -> Iterator[str]:
    for layout, table in datasets.items():
        for name in sorted(table.column("dataset_type").unique().to_pylist()):
            yield _dataset_type(types[name])
            yield from _of_type(layout, _where(table, "dataset_type", name), name)


def _where(table: pa.Table, column: str, value: str) -> pa.Table:
    import pyarrow.compute as pc

    return table.filter(pc.equal(table.column(column), value))


def _dataset_type(dataset_type: DatasetType) -> str:
    lines = [
        "- type: dataset_type",
        f"  name: {_text(dataset_type.name)}",
        "  dimensions:" if dataset_type.dimensions.names else "  dimensions: []",
        *(f"  - {name}" for name in dataset_type.dimensions.names),
        f"  storage_class: {_text(dataset_type.storageClass_name)}",
        f"  is_calibration: {_scalar(dataset_type.isCalibration())}",
    ]
    return "\n".join(lines) + "\n"


def _of_type(layout: DatasetLayout, table: pa.Table, name: str) -> Iterator[str]:
    for run in sorted(table.column("run").unique().to_pylist()):
        rows = _where(table, "run", run).sort_by([(d, "ascending") for d in layout.dimensions] or "run")
        yield f"- type: dataset\n  dataset_type: {_text(name)}\n  run: {_text(run)}\n  records:\n"
        yield from _records(layout, rows)


def _records(layout: DatasetLayout, rows: pa.Table) -> Iterator[str]:
    """One record for each file, with all its datasets; for each component where they are in parts."""
    columns = [rows.column(n).to_pylist() for n in ("path", "uri", "formatter", "id", *layout.dimensions)]
    files: dict[Any, list[tuple[Any, ...]]] = {}
    for i, (path, uri, formatter, *rest) in enumerate(zip(*columns, strict=True)):
        place = path if path is not None else uri
        if is_parts(place):
            for name, part in parts_of(place).items():
                where = part.path if part.path is not None else part.uri
                files[where, part.formatter, name, part.storage_class] = [tuple(rest)]
            continue
        files.setdefault((place, formatter) if place is not None else i, []).append(tuple(rest))
    keys = [f"{name}: " for name in layout.dimensions]
    for key, several in files.items():
        lines = ["  - dataset_id:"]
        lines += [f"    - !uuid '{row[0]}'" for row in several]
        lines.append("    data_id:")
        for row in several:
            shown = [k + _scalar(v) for k, v in zip(keys, row[1:], strict=True)]
            lines.append("    - " + "\n      ".join(shown) if shown else "    - {}")
        if isinstance(key, tuple):
            lines.append(f"    path: {_text(key[0])}")
            lines += _formatter(key[1])
        if isinstance(key, tuple) and len(key) > 2:
            lines += [f"    component: {key[2]}", f"    storage_class: {_text(key[3])}"]
        yield "\n".join(lines) + "\n"


def _formatter(key: str) -> list[str]:
    if "." in key.partition("?")[0]:  # a name that the field gave
        return [f"    formatter: {key}"]
    foreign = FOREIGN_FORMATTERS.get(key, _OTHER)
    return [f"    formatter: {foreign}", f"    {OWN_FORMATTER}: {_text(key)}"]


def _associations(members: Iterable[pa.Table], collections: Mapping[str, Collection]) -> Iterator[str]:
    """One entry for each collection: of two that have one range in common the field takes the last."""
    found: dict[str, dict[tuple[int | None, int | None], list[Any]]] = {}
    for table in members:
        names = ("collection", "valid_begin", "valid_end", "id")
        columns = (table.column(name).to_pylist() for name in names)
        for name, begin, end, one in zip(*columns, strict=True):
            found.setdefault(name, {}).setdefault((begin, end), []).append(one)
    for name, spans in sorted(found.items()):
        kind = collections[name].kind
        yield f"- type: associations\n  collection: {_text(name)}\n  collection_type: {kind.name}\n"
        if kind is CollectionType.TAGGED:
            yield "  dataset_ids:\n"
            yield from _ids(spans[None, None], "  ")
            continue
        yield "  validity_ranges:\n"
        for (begin, end), ids in sorted(spans.items(), key=lambda item: item[0]):
            first, last = _bounds(begin or MIN_NSEC, MAX_NSEC if end is None else end)
            yield (
                "  - timespan: !lsst.daf.butler.Timespan\n"
                f"      begin: {first}\n      end: {last}\n    dataset_ids:\n"
            )
            yield from _ids(ids, "    ")


def _ids(ids: Iterable[Any], indent: str) -> Iterator[str]:
    for one in sorted(ids):
        yield f"{indent}- !uuid '{one}'\n"
