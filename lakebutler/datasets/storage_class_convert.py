# SPDX-License-Identifier: BSD-3-Clause
"""Ways from one Python type to another, by key.

Definitions of storage classes name these functions by key, so that a definition is
data.  Every function imports what it needs when it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lakebutler.errors import StorageClassError, known_names

__all__ = ["convert", "converter", "extra_hint", "keys"]

_CONVERTERS: dict[str, Callable[[Any], Any]] = {}


def converter(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Make a function known under its own name; a decorator.

    Parameters
    ----------
    function : callable
        Takes an object of one type, gives one of another.

    Returns
    -------
    function : callable
        The same.
    """
    _CONVERTERS[function.__name__] = function
    return function


def keys() -> list[str]:
    """Keys of all converters.

    Returns
    -------
    keys : `list` [`str`]
        Sorted.
    """
    return sorted(_CONVERTERS)


def convert(way: str | Callable[[Any], Any], obj: Any) -> Any:
    """Convert an object.

    Parameters
    ----------
    way : `str` or callable
        Key of a converter, or the function itself.
    obj : `object`
        What to convert.

    Returns
    -------
    obj : `object`
        The converted object.

    Raises
    ------
    StorageClassError
        Raised if there is no converter of this key.
    """
    if callable(way):
        return way(obj)
    function = _CONVERTERS.get(way)
    if function is None:
        raise StorageClassError(f"there is no converter {way!r}", hint=known_names(way, _CONVERTERS))
    return function(obj)


# ------------------------------------------------------------------ plain Python


@converter
def to_float(obj: Any) -> Any:
    """Number to `float`."""
    return float(obj)


@converter
def to_bytes(obj: Any) -> Any:
    """Buffer to `bytes`."""
    return bytes(obj)


@converter
def to_path(obj: Any) -> Any:
    """Text to `pathlib.Path`."""
    from pathlib import Path

    return Path(obj)


@converter
def path_to_bytes(obj: Any) -> Any:
    """Content of a local file."""
    return obj.read_bytes()


@converter
def dict_to_packages(obj: Any) -> Any:
    """Plain dict to ``lsst.utils.packages.Packages``."""
    from lsst.utils.packages import Packages

    return Packages(obj)


@converter
def list_to_timespan(obj: Any) -> Any:
    """Begin and end in TAI nanoseconds to `lakebutler.timespan.Timespan`."""
    from lakebutler.timespan import Timespan

    begin, end = obj
    return Timespan(None, None, _nsec=(int(begin), int(end)))


# ------------------------------------------------------------------------ tables


@converter
def arrow_to_pandas(obj: Any) -> Any:
    """Arrow table to data frame, index and dtypes as they were written."""
    return obj.to_pandas()


@converter
def pandas_to_arrow(obj: Any) -> Any:
    """Data frame to Arrow table, with its index."""
    import pyarrow

    return pyarrow.Table.from_pandas(obj)


@converter
def arrow_to_astropy(obj: Any) -> Any:
    """Arrow table to astropy table, with units and metadata."""
    from lakebutler.datasets.storage_class_tables import arrow_to_astropy

    return arrow_to_astropy(obj)


@converter
def astropy_to_arrow(obj: Any) -> Any:
    """Astropy table to Arrow table, with units and metadata."""
    from lakebutler.datasets.storage_class_tables import astropy_to_arrow

    return astropy_to_arrow(obj)


@converter
def arrow_to_numpy(obj: Any) -> Any:
    """Arrow table to structured array."""
    return arrow_to_astropy(obj).as_array()


@converter
def numpy_to_arrow(obj: Any) -> Any:
    """Structured array to Arrow table."""
    return astropy_to_arrow(to_astropy(obj))


@converter
def arrow_to_numpy_dict(obj: Any) -> Any:
    """Arrow table to a dict of numpy columns."""
    return astropy_to_numpy_dict(arrow_to_astropy(obj))


@converter
def dict_to_arrow(obj: Any) -> Any:
    """Dict of columns to Arrow table."""
    import numpy
    import pyarrow

    if any(isinstance(v, numpy.ndarray) and v.ndim > 1 for v in obj.values()):
        return astropy_to_arrow(to_astropy(obj))
    return pyarrow.table(dict(obj))


@converter
def polars_to_arrow(obj: Any) -> Any:
    """Polars data frame to Arrow table."""
    return obj.to_arrow()


@converter
def polars_to_pandas(obj: Any) -> Any:
    """Polars data frame to pandas data frame."""
    return obj.to_arrow().to_pandas()


@converter
def polars_to_astropy(obj: Any) -> Any:
    """Polars data frame to astropy table."""
    return arrow_to_astropy(obj.to_arrow())


@converter
def astropy_to_pandas(obj: Any) -> Any:
    """Astropy table to data frame."""
    return obj.to_pandas()


@converter
def pandas_to_astropy(obj: Any) -> Any:
    """Data frame to astropy table; a named index becomes columns."""
    return arrow_to_astropy(pandas_to_arrow(obj))


@converter
def numpy_to_pandas(obj: Any) -> Any:
    """Structured array to data frame."""
    import pandas

    return pandas.DataFrame.from_records(obj)


@converter
def pandas_to_numpy(obj: Any) -> Any:
    """Data frame to structured array."""
    return pandas_to_astropy(obj).as_array()


@converter
def pandas_to_numpy_dict(obj: Any) -> Any:
    """Data frame to a dict of numpy columns."""
    return astropy_to_numpy_dict(pandas_to_astropy(obj))


@converter
def dict_to_pandas(obj: Any) -> Any:
    """Dict of columns, or list of rows, to data frame."""
    import pandas

    return pandas.DataFrame(obj)


@converter
def dict_to_numpy(obj: Any) -> Any:
    """Dict of columns to structured array."""
    return to_astropy(obj).as_array()


@converter
def to_astropy(obj: Any) -> Any:
    """Structured array or dict of columns to astropy table."""
    from astropy.table import Table

    return Table(obj)


@converter
def to_qtable(obj: Any) -> Any:
    """Astropy table or dict of columns to astropy table of quantities."""
    from astropy.table import QTable

    return QTable(obj)


@converter
def astropy_to_numpy(obj: Any) -> Any:
    """Astropy table to structured array."""
    return obj.as_array()


@converter
def astropy_to_numpy_dict(obj: Any) -> Any:
    """Astropy table to a dict of numpy columns."""
    import numpy

    return {name: numpy.asanyarray(obj[name]) for name in obj.colnames}


@converter
def numpy_to_numpy_dict(obj: Any) -> Any:
    """Structured array to a dict of its fields."""
    if obj.dtype.names is None:
        raise StorageClassError("the array has no named fields")
    return {name: obj[name] for name in obj.dtype.names}


@converter
def schema_to_names(obj: Any) -> Any:
    """Arrow schema to names of its columns."""
    return list(obj.names)


@converter
def schema_to_pandas_index(obj: Any) -> Any:
    """Arrow schema to the columns of the data frame that it was."""
    import pandas

    index = (obj.pandas_metadata or {}).get("index_columns", ())
    return pandas.Index([name for name in obj.names if name not in index])


@converter
def index_to_list(obj: Any) -> Any:
    """Pandas index to list."""
    return obj.to_list()


@converter
def list_to_pandas_index(obj: Any) -> Any:
    """List to pandas index."""
    import pandas

    return pandas.Index(obj)


# ------------------------------------------------------------------------ images


@converter
def nddata_to_numpy(obj: Any) -> Any:
    """Image to its pixels."""
    import numpy

    return numpy.asarray(obj.data)


@converter
def uncertainty_to_numpy(obj: Any) -> Any:
    """Uncertainty of an image to its values."""
    return obj.array


@converter
def picture_to_numpy(obj: Any) -> Any:
    """Picture of a figure to its pixels."""
    return obj.pixels()


@converter
def numpy_to_ccddata(obj: Any) -> Any:
    """Array to image in ADU."""
    from astropy.nddata import CCDData

    return CCDData(obj, unit="adu")


@converter
def nddata_to_ccddata(obj: Any) -> Any:
    """Image without header to image with one."""
    from astropy.nddata import CCDData

    return CCDData(obj, unit=obj.unit or "adu")


@converter
def ccddata_to_wcs(obj: Any) -> Any:
    """Image to its world coordinates."""
    if obj.wcs is None:
        raise StorageClassError("the image has no world coordinates")
    return obj.wcs


@converter
def ccddata_to_header(obj: Any) -> Any:
    """Image to its header."""
    from astropy.io.fits import Header

    return obj.header if isinstance(obj.header, Header) else Header(obj.header)


@converter
def hdulist_to_header(obj: Any) -> Any:
    """FITS file to its primary header."""
    return obj[0].header


@converter
def hdulist_to_wcs(obj: Any) -> Any:
    """FITS file to the world coordinates of its primary header."""
    return header_to_wcs(obj[0].header)


@converter
def header_to_wcs(obj: Any) -> Any:
    """FITS header to its world coordinates."""
    import warnings

    from astropy.wcs import WCS, FITSFixedWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        return WCS(obj)


@converter
def dict_to_header(obj: Any) -> Any:
    """Dict to FITS header."""
    from astropy.io.fits import Header

    return Header(obj)


def extra_hint(error: Exception) -> str | None:
    """Say what to install where an optional dependency is missing.

    Parameters
    ----------
    error : `Exception`
        What went wrong.

    Returns
    -------
    hint : `str` or `None`
        `None` if it was something else.
    """
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    return f"pip install 'lakebutler[{name}]'" if name in {"pandas", "polars"} else None
