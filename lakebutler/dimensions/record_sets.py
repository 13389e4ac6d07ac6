# SPDX-License-Identifier: BSD-3-Clause
"""Many dimension records of one element: as a set, and as an Arrow table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from lakebutler.dimensions.arrow import records_to_table, table_to_records
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import DimensionNameError, DimensionValueError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DimensionRecordSet", "DimensionRecordTable"]

_ELEMENT = b"element"

Values = tuple[Any, ...]
Factory = Callable[[type[DimensionRecord], Values], DimensionRecord]


def _element(element: DimensionElement | str, universe: DimensionUniverse | None) -> DimensionElement:
    if not isinstance(element, str):
        return element
    if universe is None:
        raise DimensionNameError(
            f"element {element!r} is only a name", hint="pass universe= too, or the element itself"
        )
    return universe[element]


def _not_there(kind: type[DimensionRecord], values: Values) -> DimensionRecord:
    names = kind.definition.required.names
    found = ", ".join(f"{name}={value!r}" for name, value in zip(names, values, strict=False))
    raise LookupError(f"there is no {kind.definition.name} record of {found}")


class DimensionRecordSet(Collection[DimensionRecord]):
    """Records of one element, each data ID once, in the order in which they came.

    Parameters
    ----------
    element : `DimensionElement` or `str`
        Whose records.
    records : iterable of `DimensionRecord`, optional
        The first ones.
    universe : `DimensionUniverse`, optional
        Where the element belongs, if only its name is given.
    """

    def __init__(
        self,
        element: DimensionElement | str,
        records: Iterable[DimensionRecord] = (),
        universe: DimensionUniverse | None = None,
    ) -> None:
        self._element = _element(element, universe)
        self._records: dict[Values, DimensionRecord] = {}
        self.update(records)

    @property
    def element(self) -> DimensionElement:
        """Whose records they are."""
        return self._element

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, DimensionRecord | DataCoordinate):
            return False
        return self._fits(key) and key.dataId.required_values in self._records

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[DimensionRecord]:
        return iter(self._records.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DimensionRecordSet):
            return NotImplemented
        return self._element == other._element and self._records.keys() == other._records.keys()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<DimensionRecordSet of {len(self)} {self._element.name} records>"

    def _fits(self, key: DimensionRecord | DataCoordinate) -> bool:
        return key.dataId.dimensions == self._element.minimal_group

    def _values(self, key: DimensionRecord | DataCoordinate) -> Values:
        if not self._fits(key):
            raise DimensionValueError(f"{key} is no data ID of {self._element.name}")
        return key.dataId.required_values

    def _others(self, other: DimensionRecordSet) -> dict[Values, DimensionRecord]:
        if other._element != self._element:
            raise DimensionValueError(f"records of {other._element.name} are none of {self._element.name}")
        return other._records

    def issubset(self, other: DimensionRecordSet) -> bool:
        """Whether all data IDs are in the other set."""
        return self._records.keys() <= self._others(other).keys()

    def issuperset(self, other: DimensionRecordSet) -> bool:
        """Whether all data IDs of the other set are here."""
        return self._records.keys() >= self._others(other).keys()

    def isdisjoint(self, other: DimensionRecordSet) -> bool:
        """Whether no data ID is in both."""
        return self._records.keys().isdisjoint(self._others(other))

    def intersection(self, other: DimensionRecordSet) -> DimensionRecordSet:
        """Records of the data IDs that are in both."""
        there = self._others(other)
        return self._made(r for values, r in self._records.items() if values in there)

    def difference(self, other: DimensionRecordSet) -> DimensionRecordSet:
        """Records of the data IDs that are not in the other."""
        there = self._others(other)
        return self._made(r for values, r in self._records.items() if values not in there)

    def union(self, other: DimensionRecordSet) -> DimensionRecordSet:
        """Records of the data IDs in either; ours where both have one."""
        return self._made(({**self._others(other), **self._records}).values())

    def _made(self, records: Iterable[DimensionRecord]) -> DimensionRecordSet:
        return DimensionRecordSet(self._element, records)

    def find(self, data_id: DataCoordinate, or_add: Factory = _not_there) -> DimensionRecord:
        """Find the record of a data ID.

        Parameters
        ----------
        data_id : `DataCoordinate`
            Of the element's dimensions.
        or_add : callable, optional
            Given the class of the records and the required values, makes the record if it
            is not here, which is added.

        Returns
        -------
        record : `DimensionRecord`
            The record.

        Raises
        ------
        LookupError
            Raised if it is not here and ``or_add`` is not given.
        """
        return self.find_with_required_values(self._values(data_id), or_add)

    def find_with_required_values(
        self, required_values: Values, or_add: Factory = _not_there
    ) -> DimensionRecord:
        """Find the record of required values; see `find`."""
        found = self._records.get(required_values)
        if found is None:
            found = or_add(self._element.RecordClass, required_values)
            self.add(found)
        return found

    def add(self, value: DimensionRecord, replace: bool = True) -> None:
        """Add a record.

        Parameters
        ----------
        value : `DimensionRecord`
            The record.
        replace : `bool`, optional
            Whether it takes the place of one with the same data ID.
        """
        if value.definition != self._element:
            raise DimensionValueError(f"a {value.definition.name} record is no {self._element.name} record")
        values = value.dataId.required_values
        if replace:
            self._records[values] = value
        else:
            self._records.setdefault(values, value)

    def update(self, values: Iterable[DimensionRecord], replace: bool = True) -> None:
        """Add several records; see `add`."""
        for value in values:
            self.add(value, replace=replace)

    def update_from_data_coordinates(self, data_coordinates: Iterable[DataCoordinate]) -> None:
        """Add the records that expanded data IDs carry of this element."""
        for data_id in data_coordinates:
            record = data_id.records[self._element.name]
            if record is not None:
                self.add(record)

    def discard(self, value: DimensionRecord | DataCoordinate) -> None:
        """Take out the record of a data ID, if it is here."""
        self._records.pop(self._values(value), None)

    def remove(self, value: DimensionRecord | DataCoordinate) -> None:
        """Take out the record of a data ID; a `KeyError` if it is not here."""
        del self._records[self._values(value)]

    def pop(self) -> DimensionRecord:
        """Take out the last record."""
        return self._records.popitem()[1]


class DimensionRecordTable(Sequence[DimensionRecord]):
    """Records of one element as an Arrow table.

    Parameters
    ----------
    element : `DimensionElement` or `str`, optional
        Whose records; told by the metadata of ``table`` if not given.
    records : iterable of `DimensionRecord`, optional
        The records.
    universe : `DimensionUniverse`, optional
        Where the element belongs, if it is not given itself.
    table : `pyarrow.Table`, optional
        What `to_arrow` gave; ``records`` are added to it.
    batch_size : `int`, optional
        So many records are converted at a time; all by default.
    """

    def __init__(
        self,
        element: DimensionElement | str | None = None,
        records: Iterable[DimensionRecord] = (),
        universe: DimensionUniverse | None = None,
        table: pa.Table | None = None,
        batch_size: int | None = None,
    ) -> None:
        if element is None:
            name = (table.schema.metadata or {}).get(_ELEMENT) if table is not None else None
            if name is None:
                raise DimensionNameError("the records of which element?", hint="pass element=")
            element = name.decode()
        self._element = _element(element, universe)
        schema = self.make_arrow_schema(self._element)
        self._table = schema.empty_table() if table is None else table.select(schema.names).cast(schema)
        self._add(list(records), batch_size)

    @classmethod
    def make_arrow_schema(cls, element: DimensionElement) -> pa.Schema:
        """Return the columns of the records of an element."""
        return records_to_table(element, []).schema.with_metadata({_ELEMENT: element.name.encode()})

    @property
    def element(self) -> DimensionElement:
        """Whose records they are."""
        return self._element

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __iter__(self) -> Iterator[DimensionRecord]:
        for batch in self._table.to_batches():
            yield from table_to_records(self._element, batch)

    @overload
    def __getitem__(self, index: int) -> DimensionRecord: ...
    @overload
    def __getitem__(self, index: slice) -> DimensionRecordTable: ...
    def __getitem__(self, index: int | slice) -> DimensionRecord | DimensionRecordTable:
        if isinstance(index, slice):
            rows = self._table.take(list(range(*index.indices(len(self)))))
            return DimensionRecordTable(self._element, table=rows)
        place = index if index >= 0 else len(self) + index
        if not 0 <= place < len(self):
            raise IndexError(f"there are {len(self)} records, none at {index}")
        return table_to_records(self._element, self._table.slice(place, 1))[0]

    def __repr__(self) -> str:
        return f"<DimensionRecordTable of {len(self)} {self._element.name} records>"

    def extend(self, records: Iterable[DimensionRecord]) -> None:
        """Add records at the end."""
        self._add(list(records), None)

    def _add(self, records: list[DimensionRecord], size: int | None) -> None:
        import pyarrow as pa

        step = max(1, size or len(records))
        parts = [records_to_table(self._element, records[i : i + step]) for i in range(0, len(records), step)]
        schema = self._table.schema
        self._table = pa.concat_tables([self._table, *(part.cast(schema) for part in parts)])

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column by the name of a dimension, or of a field of the records such as ``id``."""
        own = {field: dimension for dimension, field in self._element.RecordClass.layout.aliases.items()}
        return self._table.column(own.get(name, name))

    def to_arrow(self) -> pa.Table:
        """Return the table; its metadata says whose records they are."""
        return self._table
