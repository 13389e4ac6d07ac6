# SPDX-License-Identifier: BSD-3-Clause
"""The view ``obscore``: datasets as observations, in the columns of IVOA ObsCore 1.1.

It is plain SQL, down to the bytes of regions, so that it is right at once after every
commit and works where this package is not installed.

References
----------
Louys et al. 2017, Observation Data Model Core Components and its Implementation in TAP,
version 1.1, IVOA Recommendation (columns, units, UCDs: appendix B).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from lakebutler.datasets.stored_parts import PARTS
from lakebutler.registry.obscore_config import ObsCoreConfig

__all__ = ["LEAP_SECONDS", "OBSCORE_COLUMNS", "ObsCoreColumn", "ObsCoreSources", "obscore_sql"]

_FILE = f"CASE WHEN NOT starts_with(coalesce(p.uri, p.path), '{PARTS}') THEN coalesce(p.uri, p.path) END"
"""The file of a dataset; one in parts has several, and no address of its own."""


@dataclass(frozen=True, slots=True)
class ObsCoreColumn:
    """One mandatory column.

    Attributes
    ----------
    name, type : `str`
        Its name, and its type in DuckDB.
    sql : `str`
        Its value.
    unit : `str`
        Its unit, or empty.
    ucd, utype : `str`
        What it means in the words of the IVOA, and its place in the data model.
    """

    name: str
    type: str
    sql: str
    unit: str
    ucd: str
    utype: str


LEAP_SECONDS = [
    "1972-01-01",
    "1972-07-01",
    "1973-01-01",
    "1974-01-01",
    "1975-01-01",
    "1976-01-01",
    "1977-01-01",
    "1978-01-01",
    "1979-01-01",
    "1980-01-01",
    "1981-07-01",
    "1982-07-01",
    "1983-07-01",
    "1985-07-01",
    "1988-01-01",
    "1990-01-01",
    "1991-01-01",
    "1992-07-01",
    "1993-07-01",
    "1994-07-01",
    "1996-01-01",
    "1997-07-01",
    "1999-01-01",
    "2006-01-01",
    "2009-01-01",
    "2012-07-01",
    "2015-07-01",
    "2017-01-01",
]
"""From when on TAI - UTC is 10, 11, … s (IERS, Bulletin C)."""


def _utc() -> str:
    """MJD in UTC, as in ``lsst.daf.butler``, of nanoseconds of TAI since 1970; an open end is NULL."""
    steps = []
    for number, day in enumerate(LEAP_SECONDS):
        seconds = 10 + number
        begin = (date.fromisoformat(day) - date(1970, 1, 1)).days * 86400 + seconds
        steps.append(f"WHEN {{0}} >= {begin}000000000 THEN {seconds}000000000")
    offset = f"CASE {' '.join(reversed(steps))} ELSE 10000000000 END"
    known = "{0} > 0 AND {0} < 4102444800000000000"
    return f"CASE WHEN {known} THEN 40587 + ({{0}} - {offset}) / 86400e9 END"


_FORMAT = (
    "CASE WHEN regexp_matches(lower(f), '\\.(fits?|fz|fits\\.gz)$') THEN 'image/fits' "
    "WHEN f ILIKE '%.parq' OR f ILIKE '%.parquet' THEN 'application/vnd.apache.parquet' "
    "WHEN f ILIKE '%.json' THEN 'application/json' WHEN f ILIKE '%.yaml' THEN 'application/yaml' "
    "WHEN f ILIKE '%.png' THEN 'image/png' WHEN f ILIKE '%.txt' THEN 'text/plain' "
    "WHEN f IS NOT NULL THEN 'application/octet-stream' END"
)

_COLUMNS = """
dataproduct_type VARCHAR dataproduct_type - meta.code.class ObsDataset.dataProductType
calib_level INTEGER calib_level - meta.code;obs.calib ObsDataset.calibLevel
obs_collection VARCHAR obs_collection - meta.id DataID.collection
obs_id VARCHAR coalesce(obs_id,CAST(id AS VARCHAR)) - meta.id DataID.observationID
obs_publisher_did VARCHAR publisher||'?'||CAST(id AS VARCHAR) - meta.ref.ivoid Curation.publisherDID
access_url VARCHAR f - meta.ref.url Access.reference
access_format VARCHAR {format} - meta.code.mime Access.format
access_estsize BIGINT (size+999)//1000 kbyte phys.size;meta.file Access.size
target_name VARCHAR target_name - meta.id;src Target.name
s_ra DOUBLE s_ra deg pos.eq.ra Char.SpatialAxis.Coverage.Location.Coord.Position2D.Value2.C1
s_dec DOUBLE s_dec deg pos.eq.dec Char.SpatialAxis.Coverage.Location.Coord.Position2D.Value2.C2
s_fov DOUBLE s_fov deg phys.angSize;instr.fov Char.SpatialAxis.Coverage.Bounds.Extent.diameter
s_region VARCHAR s_region - pos.outline;obs.field Char.SpatialAxis.Coverage.Support.Area
s_resolution DOUBLE NULL arcsec pos.angResolution Char.SpatialAxis.Resolution.Refval.value
s_xel1 BIGINT NULL - meta.number Char.SpatialAxis.numBins1
s_xel2 BIGINT NULL - meta.number Char.SpatialAxis.numBins2
t_min DOUBLE {t_min} d time.start;obs.exposure Char.TimeAxis.Coverage.Bounds.Limits.StartTime
t_max DOUBLE {t_max} d time.end;obs.exposure Char.TimeAxis.Coverage.Bounds.Limits.StopTime
t_exptime DOUBLE t_exptime s time.duration;obs.exposure Char.TimeAxis.Coverage.Support.Extent
t_resolution DOUBLE t_exptime s time.resolution Char.TimeAxis.Resolution.Refval.value
t_xel BIGINT NULL - meta.number Char.TimeAxis.numBins
em_min DOUBLE em_min m em.wl;stat.min Char.SpectralAxis.Coverage.Bounds.Limits.LoLimit
em_max DOUBLE em_max m em.wl;stat.max Char.SpectralAxis.Coverage.Bounds.Limits.HiLimit
em_res_power DOUBLE {power} - spect.resolution Char.SpectralAxis.Resolution.ResolPower.refVal
em_xel BIGINT NULL - meta.number Char.SpectralAxis.numBins
o_ucd VARCHAR o_ucd - meta.ucd Char.ObservableAxis.ucd
pol_states VARCHAR NULL - meta.code;phys.polarization Char.PolarizationAxis.stateList
pol_xel BIGINT NULL - meta.number Char.PolarizationAxis.numBins
facility_name VARCHAR facility_name - meta.id;instr.tel Provenance.ObsConfig.Facility.name
instrument_name VARCHAR instrument_name - meta.id;instr Provenance.ObsConfig.Instrument.name
"""


def _columns() -> tuple[ObsCoreColumn, ...]:
    long = {
        "{format}": _FORMAT,
        "{t_min}": _utc().format("t_begin"),
        "{t_max}": _utc().format("t_end"),
        "{power}": "(em_min + em_max) / 2 / (em_max - em_min)",
    }
    found = []
    for line in _COLUMNS.strip().splitlines():
        name, kind, rest = line.split(" ", 2)
        sql, unit, ucd, utype = rest.rsplit(" ", 3)
        found.append(ObsCoreColumn(name, kind, long.get(sql, sql), "" if unit == "-" else unit, ucd, utype))
    return tuple(found)


OBSCORE_COLUMNS = _columns()
"""The mandatory columns of ObsCore 1.1, in its order."""


@dataclass(frozen=True, slots=True)
class ObsCoreSources:
    """What the view is made of.

    Attributes
    ----------
    holders : `Mapping` [`str`, `tuple` [`str`, ...]]
        Tables of datasets, and the dimensions of each.
    dataset_types : `Mapping` [`str`, `Mapping`]
        Descriptions of the dataset types.
    records : callable
        Given the name of a dimension, returns its relation in SQL and its columns;
        no columns if the repository knows no such dimension.
    """

    holders: Mapping[str, Sequence[str]]
    dataset_types: Mapping[str, Mapping[str, Any]]
    records: Callable[[str], tuple[str, Sequence[str]]]


def obscore_sql(sources: ObsCoreSources, config: ObsCoreConfig) -> str:
    """Return the view.

    Parameters
    ----------
    sources : `ObsCoreSources`
        Tables of the repository.
    config : `ObsCoreConfig`
        What its datasets are.

    Returns
    -------
    sql : `str`
        A ``SELECT`` of all `OBSCORE_COLUMNS`, then ``lb_id``, ``lb_dataset_type`` and
        ``lb_run``: which dataset it is.
    """
    products = _products(sources, config)
    branches = [
        _branch(table, dimensions, sources, products)
        for table, dimensions in sorted(sources.holders.items())
        if _is_observation(dimensions)
        and any(tuple(sources.dataset_types[t]["dimensions"]) == tuple(dimensions) for t in products)
    ]
    selected = ", ".join(f"CAST({c.sql} AS {c.type}) AS {c.name}" for c in OBSCORE_COLUMNS)
    selected += ", id AS lb_id, dataset_type AS lb_dataset_type, run AS lb_run"
    if not branches:
        nothing = ", ".join(f"CAST(NULL AS {c.type}) AS {c.name}" for c in OBSCORE_COLUMNS)
        return (
            f"SELECT {nothing}, CAST(NULL AS UUID) AS lb_id, CAST(NULL AS VARCHAR) AS lb_dataset_type, "
            "CAST(NULL AS VARCHAR) AS lb_run WHERE false"
        )
    collection = "run" if config.obs_collection is None else _text(config.obs_collection)
    where = _placed(" UNION ALL ".join(branches))
    return (
        f"SELECT {selected} FROM (SELECT p.*, {_FILE} AS f, {collection} AS obs_collection, "
        f"{_text(config.publisher)} AS publisher, {_first('em_min')}, {_first('em_max')}, a.facility_name, "
        "CASE WHEN dataproduct_type = 'image' THEN 'phot.count' END AS o_ucd "
        f"FROM ({where}) p {_wavelengths(sources, config)} "
        f"LEFT JOIN {_values(list(config.facilities.items()), ('instrument', 'facility_name'))} a "
        "ON a.instrument = p.instrument_name)"
    )


_RANGES = ("filter", "band", "any_filter", "any_band")
"""Where wavelengths are looked up, one after another."""


def _first(column: str) -> str:
    return f"coalesce({', '.join(f'w_{name}.{column}' for name in _RANGES)}) AS {column}"


def _wavelengths(sources: ObsCoreSources, config: ObsCoreConfig) -> str:
    """Join wavelengths by filter and by band; data without an instrument are the only instrument's."""
    rows = [(*key, *limits) for key, limits in config.spectral_ranges.items()]
    table = _values(rows, ("instrument", "name", "em_min", "em_max"))
    relation, columns = sources.records("instrument")
    only = f'SELECT CASE WHEN count(*) = 1 THEN min("instrument") END FROM {relation}' if columns else "NULL"
    joins = []
    for name in _RANGES:
        camera = "'*'" if name.startswith("any_") else f"coalesce(p.instrument_name, ({only}))"
        value = "p.physical_filter" if name.endswith("filter") else "p.band"
        joins.append(
            f"LEFT JOIN {table} w_{name} ON w_{name}.instrument = {camera} AND w_{name}.name = {value}"
        )
    return " ".join(joins)


def _products(sources: ObsCoreSources, config: ObsCoreConfig) -> dict[str, tuple[str, int]]:
    found = {}
    for name, value in sorted(sources.dataset_types.items()):
        product = config.product(name, str(value.get("storage_class")))
        if product is not None and _is_observation(value["dimensions"]):
            found[name] = (product.dataproduct_type, product.calib_level)
    return found


def _is_observation(dimensions: Iterable[str]) -> bool:
    return not {"exposure", "visit", "tract"}.isdisjoint(dimensions)


# --------------------------------------------------------------------- datasets


class _Joins:
    """Tables of records beside one table of datasets."""

    def __init__(self, sources: ObsCoreSources) -> None:
        self._sources = sources
        self._columns: dict[str, Sequence[str]] = {}
        self.sql: list[str] = []

    def add(self, alias: str, element: str, keys: Mapping[str, str]) -> None:
        """Join records; ``keys`` says what each of their columns must equal."""
        relation, columns = self._sources.records(element)
        if not columns:
            return
        self._columns[alias] = columns
        on = " AND ".join(f'{alias}."{column}" = {value}' for column, value in keys.items())
        self.sql.append(f"LEFT JOIN {relation} {alias} ON {on}")

    def add_visits(self) -> None:
        """Join the visit of each exposure: the first, if it is in several."""
        relation, columns = self._sources.records("visit_definition")
        if columns:
            self._columns["w"] = ("instrument", "exposure", "visit")
            self.sql.append(
                f"LEFT JOIN (SELECT instrument, exposure, min(visit) AS visit FROM {relation} "
                "GROUP BY ALL) w ON w.instrument = d.instrument AND w.exposure = d.exposure"
            )

    def has(self, alias: str, column: str) -> bool:
        """Whether there is such a column."""
        return column in self._columns.get(alias, ())

    def value(self, column: str, *aliases: str, kind: str = "VARCHAR") -> str:
        """Return the first of some columns that is there and not NULL."""
        found = [f'{alias}."{column}"' for alias in aliases if self.has(alias, column)]
        return f"coalesce({', '.join(found)})" if found else f"CAST(NULL AS {kind})"


def _branch(
    table: str, dimensions: Sequence[str], sources: ObsCoreSources, products: Mapping[str, tuple[str, int]]
) -> str:
    joins = _Joins(sources)
    instrument = {"instrument": "d.instrument"}
    if "exposure" in dimensions:
        joins.add("e", "exposure", {**instrument, "exposure": "d.exposure"})
        joins.add_visits()
    visit = "d.visit" if "visit" in dimensions else "w.visit" if joins.has("w", "visit") else ""
    if visit:
        joins.add("v", "visit", {**instrument, "visit": visit})
        if "detector" in dimensions:
            keys = {**instrument, "visit": visit, "detector": "d.detector"}
            joins.add("r", "visit_detector_region", keys)
    if "tract" in dimensions:
        keys = {"skymap": "d.skymap", "tract": "d.tract"}
        place = "patch" if "patch" in dimensions else "tract"
        joins.add("r", place, keys if place == "tract" else {**keys, "patch": "d.patch"})
    glass = (
        "d.physical_filter" if "physical_filter" in dimensions else joins.value("physical_filter", "e", "v")
    )
    if "instrument" in dimensions:
        joins.add("g", "physical_filter", {**instrument, "physical_filter": glass})
    band = "d.band" if "band" in dimensions else joins.value("band", "g")
    whole = ("r",) if "detector" in dimensions or "tract" in dimensions else ("v",)
    values = {
        "obs_id": _obs_id(dimensions, joins),
        "target_name": joins.value("target_name", "e", "v"),
        "t_begin": joins.value("timespan_begin", "e", "v", kind="BIGINT"),
        "t_end": joins.value("timespan_end", "e", "v", kind="BIGINT"),
        "t_exptime": joins.value("exposure_time", "e", "v", kind="DOUBLE"),
        "region": joins.value("region", *whole, kind="BLOB"),
        "band": band,
        "physical_filter": glass,
        "instrument_name": "d.instrument" if "instrument" in dimensions else "CAST(NULL AS VARCHAR)",
        "ra": _boresight("tracking_ra", joins),
        "dec": _boresight("tracking_dec", joins),
    }
    mine = [
        (n, *p)
        for n, p in products.items()
        if list(sources.dataset_types[n]["dimensions"]) == list(dimensions)
    ]
    kinds = _values(mine, ("name", "dataproduct_type", "calib_level"))
    columns = ", ".join(f"{sql} AS {name}" for name, sql in values.items())
    return (
        "SELECT d.id, d.dataset_type, d.run, d.path, d.uri, d.size, k.dataproduct_type, k.calib_level, "
        f"{columns} FROM {_quote(table)} d JOIN {kinds} k ON k.name = d.dataset_type {' '.join(joins.sql)} "
        "WHERE d.collection = d.run"
    )


def _obs_id(dimensions: Sequence[str], joins: _Joins) -> str:
    if "exposure" in dimensions:
        return joins.value("obs_id", "e")
    if "visit" in dimensions:
        return joins.value("name", "v")
    return " || '/' || ".join(
        f"CAST(d.{n} AS VARCHAR)" for n in ("skymap", "tract", "patch") if n in dimensions
    )


def _boresight(column: str, joins: _Joins) -> str:
    value = joins.value(column, "e", kind="DOUBLE")
    return (
        f"CASE WHEN e.can_see_sky IS NOT false THEN {value} END" if joins.has("e", "can_see_sky") else value
    )


# ---------------------------------------------------------------------- regions

_DOUBLE = " || ".join(f"substr(h, {2 * byte + 1} + 16 * i, 2)" for byte in range(8, 0, -1))
"""Hexadecimal digits of the number ``i`` behind the first byte, from little to big endian."""


def _placed(datasets: str) -> str:
    """Decode regions: polygons ('p': vertices) and circles ('c': centre, chord², radius) of lsst-sphgeom.

    Their numbers are doubles behind one byte that tells which; directions are unit vectors.
    """
    numbers = (
        "SELECT *, CASE WHEN shape IN ('70', '63') THEN list_transform(range(0, (length(h) - 2) // 16), "
        f"lambda i: CAST(CAST(unhex({_DOUBLE}) AS BIT) AS DOUBLE)) END AS n "
        f"FROM (SELECT *, hex(region) AS h, substr(hex(region), 1, 2) AS shape FROM ({datasets}))"
    )
    corners = (
        "SELECT *, list_transform(range(0, CASE shape WHEN '70' THEN len(n) // 3 WHEN '63' THEN 1 END), "
        "lambda i: [n[3 * i + 1], n[3 * i + 2], n[3 * i + 3]]) AS c "
        f"FROM ({numbers})"
    )
    total = ", ".join(f"list_sum(list_transform(c, lambda p: p[{axis}])) AS {axis_name}_"
                      for axis, axis_name in enumerate("xyz", 1))  # fmt: skip
    middle = f"SELECT *, {total} FROM ({corners})"
    unit = "SELECT *, sqrt(x_ * x_ + y_ * y_ + z_ * z_) AS m " + f"FROM ({middle})"
    chord = " + ".join(f"power(p[{i}] - {name}_ / m, 2)" for i, name in enumerate("xyz", 1))
    half = f"asin(least(1, sqrt(list_max(list_transform(c, lambda p: {chord}))) / 2))"
    direction = (
        "printf('%.9f %.9f', (degrees(atan2(p[2], p[1])) + 360) % 360, "
        "degrees(atan2(p[3], sqrt(p[1] * p[1] + p[2] * p[2]))))"
    )
    listed = f"array_to_string(list_transform(c, lambda p: {direction}), ' ')"
    return (
        "SELECT *, coalesce((degrees(atan2(y_, x_)) + 360) % 360, ra) AS s_ra, "
        "coalesce(degrees(atan2(z_, sqrt(x_ * x_ + y_ * y_))), dec) AS s_dec, "
        f"CASE shape WHEN '70' THEN degrees(4 * {half}) WHEN '63' THEN 2 * degrees(n[5]) END AS s_fov, "
        f"CASE shape WHEN '70' THEN 'POLYGON ICRS ' || {listed} "
        f"WHEN '63' THEN 'CIRCLE ICRS ' || {listed} || printf(' %.9f', degrees(n[5])) END AS s_region "
        f"FROM ({unit})"
    )


# ------------------------------------------------------------------------- text


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _values(rows: Sequence[Sequence[str | float]], columns: Sequence[str]) -> str:
    """A table of constants; a row of NULLs where there are none (it joins with nothing)."""
    lines = [", ".join(_text(v) if isinstance(v, str) else repr(v) for v in row) for row in rows]
    names = ", ".join(columns)
    if not lines:
        nulls = ["CAST(NULL AS VARCHAR)", *["CAST(NULL AS DOUBLE)"] * (len(columns) - 1)]
        lines = [", ".join(nulls)]
    return f"(SELECT * FROM (VALUES {', '.join(f'({line})' for line in lines)}) AS t({names}))"
