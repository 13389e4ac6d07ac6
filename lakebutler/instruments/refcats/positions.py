# SPDX-License-Identifier: BSD-3-Clause
"""Positions in a catalogue: which columns they are, in which unit, and in which pixel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebutler.errors import FileFormatError, known_names
from lakebutler.instruments.skymaps.projection import unit_vector

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

__all__ = ["UNITS", "PositionColumns", "find_positions", "pixel_index", "positions_deg"]

UNITS: Mapping[str, float] = {"deg": 1.0, "rad": 57.29577951308232, "hourangle": 15.0}
"""Degrees in each unit that positions may have."""

_SPELLINGS = {
    **dict.fromkeys(("deg", "degree", "degrees", "d"), "deg"),
    **dict.fromkeys(("rad", "radian", "radians"), "rad"),
    **dict.fromkeys(("hourangle", "hour", "hours", "h"), "hourangle"),
}
_PAIRS = (
    ("coord_ra", "coord_dec"),
    ("ra", "dec"),
    ("ra_deg", "dec_deg"),
    ("raj2000", "dej2000"),
    ("_raj2000", "_dej2000"),
    ("raj2000", "decj2000"),
    ("ra_icrs", "de_icrs"),
    ("ra_icrs", "dec_icrs"),
    ("ramean", "decmean"),
    ("alpha_j2000", "delta_j2000"),
    ("right_ascension", "declination"),
    ("s_ra", "s_dec"),
)
_KEY = b"lakebutler.refcat"


@dataclass(frozen=True, slots=True)
class PositionColumns:
    """Columns of a catalogue that say where its rows are.

    Attributes
    ----------
    ra, dec : `str`
        Their names.
    ra_unit, dec_unit : `str`
        Keys of `UNITS`.
    """

    ra: str
    dec: str
    ra_unit: str
    dec_unit: str

    def write(self, schema: pa.Schema) -> pa.Schema:
        """Note the columns in the metadata of a schema, for whoever reads it."""
        text = json.dumps({"ra": self.ra, "dec": self.dec, "units": [self.ra_unit, self.dec_unit]})
        return schema.with_metadata({**(schema.metadata or {}), _KEY: text.encode()})


def find_positions(
    schema: pa.Schema, where: str, *, ra: str | None = None, dec: str | None = None, units: str | None = None
) -> PositionColumns:
    """Find the columns of positions.

    Parameters
    ----------
    schema : `pyarrow.Schema`
        The catalogue's columns; units are in ``unit`` of their metadata.
    where : `str`
        Which file, for messages.
    ra, dec : `str`, optional
        Names of the columns.  By default those noted at ingest, else the first usual pair,
        whatever its case.
    units : `str`, optional
        Key of `UNITS`.  By default what the file says; else radians for ``coord_ra``, as
        catalogues of LSST have it, and degrees for all others.

    Returns
    -------
    columns : `PositionColumns`
        The columns.

    Raises
    ------
    FileFormatError
        Raised if there are none, several differ only in case, they are no numbers, or
        their unit is no angle.
    """
    if (ra is None) != (dec is None):
        raise FileFormatError("give the columns of both right ascension and declination, or neither")
    if units is not None and units not in UNITS:
        raise FileFormatError(f"{units!r} is no unit of positions", hint=f"there are {', '.join(UNITS)}")
    said: tuple[str | None, str | None] = (units, units)
    noted = _noted(schema) if ra is None and units is None else None
    if noted is not None:
        names, said = noted
    elif ra is not None and dec is not None:
        names = (ra, dec)
    else:
        names = _usual_pair(schema, where)
    fields = [_angles(schema, name, where) for name in names]
    found = [unit or _unit(field, where) for unit, field in zip(said, fields, strict=True)]
    return PositionColumns(names[0], names[1], found[0], found[1])


def _angles(schema: pa.Schema, name: str, where: str) -> pa.Field:
    """A column of numbers, whole ones too."""
    import pyarrow as pa

    places = schema.get_all_field_indices(name)
    if len(places) > 1:
        raise FileFormatError(f"{where}: there are {len(places)} columns {name!r}")
    if not places:
        raise FileFormatError(
            f"{where}: there is no column {name!r}", hint=known_names(name, schema.names, what="columns")
        )
    field = schema.field(places[0])
    if str(field.type) not in ("double", "float") and not pa.types.is_integer(field.type):
        raise FileFormatError(f"{where}: column {name!r} holds {field.type}, no angles")
    return field


def _noted(schema: pa.Schema) -> tuple[tuple[str, str], tuple[str, str]] | None:
    """Names and units that `PositionColumns.write` has noted, if they are there and sound."""
    try:
        said = json.loads((schema.metadata or {})[_KEY])
        names, units = (said["ra"], said["dec"]), tuple(said["units"])
        sound = set(units) <= set(UNITS) and len(units) == 2 and set(names) <= set(schema.names)
    except (KeyError, ValueError, TypeError, RecursionError):
        return None
    return (names, units) if sound else None


def _usual_pair(schema: pa.Schema, where: str) -> tuple[str, str]:
    spellings: dict[str, list[str]] = {}
    for name in schema.names:
        spellings.setdefault(name.lower(), []).append(name)
    for ra, dec in _PAIRS:
        if ra not in spellings or dec not in spellings:
            continue
        for option, names in (("--ra", spellings[ra]), ("--dec", spellings[dec])):
            if len(set(names)) > 1:
                raise FileFormatError(
                    f"{where}: any of the columns {', '.join(map(repr, names))} could be meant",
                    hint=f"say which with {option}; --ra and --dec are given together",
                )
        return spellings[ra][0], spellings[dec][0]
    raise FileFormatError(
        f"{where}: no columns of positions are known by their names",
        hint="say which: --ra and --dec; there are " + ", ".join(schema.names[:12]),
    )


def _unit(field: pa.Field, where: str) -> str:
    said = (field.metadata or {}).get(b"unit", b"").decode("utf-8", "replace").strip()
    if not said:
        return "rad" if field.name.lower().startswith("coord_") else "deg"
    unit = _SPELLINGS.get(said.lower())
    if unit is None:
        raise FileFormatError(f"{where}: column {field.name!r} is in {said!r}, which is no unit of positions")
    return unit


def positions_deg(table: pa.Table, columns: PositionColumns) -> tuple[Floats, Floats]:
    """Read positions.

    Parameters
    ----------
    table : `pyarrow.Table`
        Rows of a catalogue.
    columns : `PositionColumns`
        Which columns.

    Returns
    -------
    ra_deg, dec_deg : `numpy.ndarray`, (n,)
        In degrees; NaN where there is none, or none that can be: declinations beyond the
        poles, right ascensions beyond 360 degrees either way.
    """
    import numpy as np

    ra, dec = (
        np.asarray(table.column(name).to_numpy(), dtype=np.float64) * UNITS[unit]
        for name, unit in ((columns.ra, columns.ra_unit), (columns.dec, columns.dec_unit))
    )
    tolerance = 1e-5  # single precision: the pole itself may lie a little beyond
    good = (np.abs(ra) <= 360.0 + tolerance) & (np.abs(dec) <= 90.0 + tolerance)
    return np.where(good, ra % 360.0, np.nan), np.where(good, np.clip(dec, -90.0, 90.0), np.nan)


def pixel_index(dimension: Any, ra_deg: Floats, dec_deg: Floats) -> Integers:
    """Find the pixels that positions are in.

    Parameters
    ----------
    dimension : `SkyPixDimension`
        The pixels.
    ra_deg, dec_deg : `numpy.ndarray`, (n,)
        Positions in degrees.

    Returns
    -------
    pixels : `numpy.ndarray` of `int`, (n,)
        Their numbers.
    """
    import numpy as np
    from lsst.sphgeom import UnitVector3d

    index = dimension.pixelization.index  # takes one direction; 2 us each
    vectors = unit_vector(ra_deg, dec_deg).tolist()
    return np.fromiter((index(UnitVector3d(*v)) for v in vectors), dtype=np.int64, count=len(vectors))
