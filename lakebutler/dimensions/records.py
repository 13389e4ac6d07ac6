# SPDX-License-Identifier: BSD-3-Clause
"""Dimension records: what is known of one value of a dimension.

A record keeps its values as one tuple, in the order and with the types of its
table in the lake, so that reading and writing rows costs nothing.  Regions and
timespans become objects when they are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, cast

from lakebutler.dimensions.columns import ColumnSpec, describe, fit
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.named import NamedValueSet
from lakebutler.errors import DimensionNameError, DimensionValueError, InconsistentDataIdError, known_names
from lakebutler.timespan import Timespan

if TYPE_CHECKING:
    from lakebutler.dimensions.elements import DimensionElement

__all__ = ["DimensionRecord", "RecordLayout", "encode_region", "make_record_class"]

_new = object.__new__


class RecordLayout:
    """How the fields of an element's records lie in a row.

    Parameters
    ----------
    element : `DimensionElement`
        The element.
    """

    __slots__ = ("aliases", "columns", "fields", "key_names", "names", "plain", "region", "timespan", "types")

    def __init__(self, element: DimensionElement) -> None:
        columns = list(element.schema)
        own = dict(zip(element.key_fields, element.required.names, strict=True))
        self.fields: tuple[ColumnSpec, ...] = tuple(columns)
        """Fields, in order."""
        self.plain: tuple[ColumnSpec, ...] = tuple(c for c in columns if c.type not in ("region", "timespan"))
        """Fields that are one column each; they come first in a row."""
        names = [own.get(c.name, c.name) for c in self.plain]
        self.key_names: tuple[str, ...] = tuple(names[: len(element.required) + len(element.implied)])
        """Dimensions whose values stand first in a row: the required, then the implied ones."""
        self.aliases: dict[str, str] = {dim: field for field, dim in own.items() if dim != field}
        """The dimension's own name is as good as that of its key field."""
        types = [_LAKE_TYPES[c.type] for c in self.plain]
        self.region = self.timespan = -1
        if element.spatial is not None and element.has_own_table:
            self.region = len(names)
            names.append("region")
            types.append("binary")
        if element.temporal is not None:
            self.timespan = len(names)
            names += ["timespan_begin", "timespan_end"]
            types += ["int64", "int64"]
        self.names: tuple[str, ...] = tuple(names)
        """Columns of a row."""
        self.types: tuple[str, ...] = tuple(types)
        """Their types in the lake."""
        self.columns: dict[str, int] = {c.name: i for i, c in enumerate(self.plain)}
        """Position of each plain field in a row."""


_LAKE_TYPES = {"int": "int64", "float": "float64", "bool": "bool", "string": "string", "hash": "binary"}


def encode_region(region: Any) -> bytes | None:
    """Convert a region to bytes.

    Parameters
    ----------
    region : `lsst.sphgeom.Region`, `bytes` or `None`
        The region; bytes are taken as they are.

    Returns
    -------
    encoded : `bytes` or `None`
        What ``lsst.sphgeom.Region.decode`` turns into the same region.
    """
    if region is None or type(region) is bytes:
        return region
    encode: Callable[[], bytes] | None = getattr(region, "encode", None)
    if encode is None or isinstance(region, str):
        raise TypeError(f"must be a region of lsst.sphgeom, not {describe(region)}")
    return bytes(encode())


class DimensionRecord:
    """What is known of one value of a dimension, or of one relation; immutable.

    Parameters
    ----------
    **kwargs
        Values by name of the field.  The primary key may be given under its own
        name (``id``) or the dimension's (``detector``).  Fields that may be
        missing can be left out.

    Raises
    ------
    DimensionNameError
        If there is no such field.
    DimensionValueError
        If a value does not fit, or a required one is missing.
    InconsistentDataIdError
        If the primary key is given twice, differently.
    """

    __slots__ = ("_data_id", "_region", "_row", "_timespan")

    definition: ClassVar[DimensionElement]
    """The element that the record belongs to."""

    fields: ClassVar[NamedValueSet[ColumnSpec]]
    """Fields of the record."""

    layout: ClassVar[RecordLayout]
    """How the fields lie in a row."""

    _row: tuple[Any, ...]

    def __init__(self, **kwargs: Any) -> None:
        layout = self.layout
        for name, field in layout.aliases.items():
            if name in kwargs:
                value = kwargs.pop(name)
                if kwargs.setdefault(field, value) != value:
                    raise InconsistentDataIdError(
                        f"{self.definition.name} record: {name}={value!r}, but {field}={kwargs[field]!r}"
                    )
        row = []
        for column in layout.plain:
            try:
                row.append(fit(column, kwargs.pop(column.name, None)))
            except (TypeError, ValueError) as exc:
                raise DimensionValueError(f"{column.name} of {self.definition.name} record {exc}") from None
        if layout.region >= 0:
            try:
                row.append(encode_region(kwargs.pop("region", None)))
            except TypeError as exc:
                raise DimensionValueError(f"region of {self.definition.name} record {exc}") from None
        elif "region" in self.fields:
            kwargs.pop("region", None)
        if layout.timespan >= 0:
            row.extend(_timespan_columns(self.definition.name, kwargs.pop("timespan", None)))
        if kwargs:
            name = min(kwargs)
            raise DimensionNameError(
                f"a {self.definition.name} record has no field {name!r}",
                hint=known_names(name, self.fields.names),
            )
        self._row = tuple(row)
        self._region = self._timespan = self._data_id = None

    _region: Any
    _timespan: Timespan | None
    _data_id: DataCoordinate | None

    # ------------------------------------------------------------------ as a row

    @classmethod
    def from_row(cls, row: tuple[Any, ...]) -> DimensionRecord:
        """Make a record of a row of its table.

        Parameters
        ----------
        row : `tuple`
            Values of `RecordLayout.names`; kept as they are, not checked.

        Returns
        -------
        record : `DimensionRecord`
            The record.
        """
        made = _new(cls)
        made._row = row
        made._region = made._timespan = made._data_id = None
        return made

    def to_row(self) -> tuple[Any, ...]:
        """Convert to a row of its table.

        Returns
        -------
        row : `tuple`
            Values of `RecordLayout.names`.
        """
        return self._row

    # ---------------------------------------------------------------- as a value

    @property
    def dataId(self) -> DataCoordinate:
        """The data ID that the record belongs to; full if all values stand in the record."""
        data_id = self._data_id
        if data_id is None:
            group = self.definition.minimal_group
            known = dict(self.key_items())
            if all(name in known for name in group.data_keys):
                data_id = DataCoordinate.from_full_values(group, tuple([known[n] for n in group.data_keys]))
            else:
                data_id = DataCoordinate.from_required_values(
                    group, tuple([known[n] for n in group.required_names])
                )
            self._data_id = data_id
        return data_id

    def key_items(self) -> Iterator[tuple[str, Any]]:
        """Values of the required and the implied dimensions.

        Returns
        -------
        items : iterator of `tuple`
            Name of the dimension, and its value.
        """
        return zip(self.layout.key_names, self._row, strict=False)

    def get(self, name: str, default: Any = None) -> Any:
        """Find a value by the name of its field.

        Parameters
        ----------
        name : `str`
            Name of a field.
        default : optional
            What to return if there is no such field.

        Returns
        -------
        value
            The value, or ``default``.
        """
        name = self.layout.aliases.get(name, name)
        return getattr(self, name) if name in self.fields else default

    def toDict(self, splitTimespan: bool = False) -> dict[str, Any]:
        """Convert to a dictionary.

        Parameters
        ----------
        splitTimespan : `bool`, optional
            If `True`, give the bounds of the timespan as ``datetime_begin`` and
            ``datetime_end`` (`astropy.time.Time` or `None`).

        Returns
        -------
        values : `dict`
            Values by field.
        """
        values = {column.name: getattr(self, column.name) for column in self.fields}
        if splitTimespan and self.layout.timespan >= 0:
            timespan = values.pop("timespan")
            values["datetime_begin"] = None if timespan is None else timespan.begin
            values["datetime_end"] = None if timespan is None else timespan.end
        return values

    def __eq__(self, other: object) -> bool:
        if type(other) is type(self):
            return self._row == other._row
        if isinstance(other, DimensionRecord):
            return self.definition == other.definition and self._row == other._row
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.definition.name, self._row[: len(self.definition.required)]))

    def __setattr__(self, name: str, value: Any) -> None:
        if name[:1] != "_":
            raise AttributeError(f"a dimension record cannot be changed: {name}")
        object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.definition, self._row)

    def __deepcopy__(self, memo: dict[int, Any]) -> DimensionRecord:
        return self

    # --------------------------------------------------------------------- text

    def __repr__(self) -> str:
        values = ", ".join(f"{c.name}={getattr(self, c.name)!r}" for c in self.fields)
        return f"{self.definition.name}.RecordClass({values})"

    def __str__(self) -> str:
        lines = [f"{self.definition.name}:"]
        lines.extend(f"  {c.name}: {getattr(self, c.name)!r}" for c in self.fields)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from html import escape

        rows = (
            f"<tr><th>{c.name}</th><td>{escape(str(getattr(self, c.name)))}</td></tr>" for c in self.fields
        )
        return f"<table>{''.join(rows)}</table>"

    def to_simple(self) -> dict[str, Any]:
        """Convert to what JSON can hold.

        Returns
        -------
        simple : `dict`
            ``definition`` (name of the element) and ``record``: values by field,
            bytes as hexadecimal digits, a timespan as two integers.
        """
        layout = self.layout
        record: dict[str, Any] = {}
        for column in layout.fields:
            if column.type == "region":
                value = self._row[layout.region] if layout.region >= 0 else encode_region(self.get("region"))
            elif column.type == "timespan":
                value = list(self._row[layout.timespan :]) if self._row[layout.timespan] is not None else None
            else:
                value = self._row[layout.columns[column.name]]
            record[column.name] = value.hex() if isinstance(value, bytes) else value
        return {"definition": self.definition.name, "record": record}

    @classmethod
    def from_simple(cls, simple: Any) -> DimensionRecord:
        """Convert back from what JSON can hold.

        Parameters
        ----------
        simple : `~collections.abc.Mapping`
            What `to_simple` gave.

        Returns
        -------
        record : `DimensionRecord`
            The record.
        """
        if not isinstance(simple, Mapping) or simple.get("definition") != cls.definition.name:
            raise DimensionValueError(f"this is no {cls.definition.name} record: {describe(simple)}")
        values = dict(simple["record"])
        for column in cls.fields:
            value = values.get(column.name)
            if column.type in ("region", "hash") and isinstance(value, str):
                try:
                    values[column.name] = bytes.fromhex(value)
                except ValueError:
                    raise DimensionValueError(f"{column.name} is not written in hexadecimal digits") from None
            elif column.type == "timespan" and value is not None:
                values[column.name] = Timespan.from_simple(value)
        return cls(**values)

    def to_json(self) -> str:
        """Convert to JSON text.

        Returns
        -------
        text : `str`
            JSON of `to_simple`.
        """
        return json.dumps(self.to_simple(), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, json_str: str) -> DimensionRecord:
        """Convert back from JSON text.

        Parameters
        ----------
        json_str : `str`
            What `to_json` gave.

        Returns
        -------
        record : `DimensionRecord`
            The record.
        """
        return cls.from_simple(json.loads(json_str))


def _rebuild(element: DimensionElement, row: tuple[Any, ...]) -> DimensionRecord:
    return element.RecordClass.from_row(row)


def _timespan_columns(element: str, value: Any) -> tuple[int, int] | tuple[None, None]:
    if value is None:
        return (None, None)
    if isinstance(value, Timespan):
        return value.nsec
    raise DimensionValueError(f"timespan of {element} record must be a Timespan, not {describe(value)}")


# -------------------------------------------------------------- classes of records


def _stored_region(index: int) -> property:
    def region(record: Any) -> Any:
        if record._region is None and record._row[index] is not None:
            from lsst.sphgeom import Region

            record._region = Region.decode(record._row[index])
        return record._region

    return property(region, doc="Region on the sky, `lsst.sphgeom.Region`; `None` if not known.")


def _pixel_region(element: DimensionElement) -> property:
    def region(record: Any) -> Any:
        if record._region is None:
            record._region = cast("Any", element).pixelization.pixel(record._row[0])
        return record._region

    return property(region, doc="Region of the pixel, `lsst.sphgeom.Region`.")


def _stored_timespan(index: int) -> property:
    def timespan(record: Any) -> Timespan | None:
        begin = record._row[index]
        if record._timespan is None and begin is not None:
            record._timespan = Timespan.from_nsec(begin, record._row[index + 1])
        return cast("Timespan | None", record._timespan)

    return property(timespan, doc="Interval of time; `None` if not known.")


def _plain(index: int, column: ColumnSpec) -> property:
    row = attrgetter("_row")
    return property(lambda record: row(record)[index], doc=column.doc or None)


def make_record_class(element: DimensionElement) -> type[DimensionRecord]:
    """Make the class of an element's records.

    Parameters
    ----------
    element : `DimensionElement`
        The element.

    Returns
    -------
    cls : `type`
        A subclass of `DimensionRecord` with one property for each field.
    """
    layout = RecordLayout(element)
    members: dict[str, Any] = {
        "__slots__": (),
        "__doc__": element.documentation,
        "__module__": __name__,
        "__qualname__": f"{element.name}.RecordClass",
        "definition": element,
        "fields": element.schema,
        "layout": layout,
    }
    for name, index in layout.columns.items():
        members[name] = _plain(index, layout.plain[index])
    if element.spatial is not None:
        members["region"] = _stored_region(layout.region) if layout.region >= 0 else _pixel_region(element)
    if layout.timespan >= 0:
        members["timespan"] = _stored_timespan(layout.timespan)
    return cast("type[DimensionRecord]", type(f"{element.name}.RecordClass", (DimensionRecord,), members))
