# SPDX-License-Identifier: BSD-3-Clause
"""The values of an Arrow array as NumPy sees them, straight from its buffers.

``pyarrow.Array.to_numpy`` imports pandas where that is installed, and most other methods
import ``pyarrow.compute``: half a second and tens of megabytes before the first row is found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["numbers", "validity"]

_KINDS = {"int8": "i1", "int16": "i2", "int32": "i4", "int64": "i8", "float": "f4", "double": "f8"}


def numbers(array: pa.Array) -> np.ndarray[Any, Any]:
    """Return the values of an array of numbers, truth values or times.

    Parameters
    ----------
    array : `pyarrow.Array`
        Integers, floating-point numbers, ``bool`` or timestamps.

    Returns
    -------
    values : `numpy.ndarray`
        One number each, a view of the array's memory where that is possible; where the
        array has null, there is any number.
    """
    import numpy as np
    import pyarrow as pa

    data = array.buffers()[1]
    if data is None:
        return np.zeros(len(array), np.int64)
    if pa.types.is_boolean(array.type):
        return _bits(data, array.offset, len(array))
    kind = "int64" if pa.types.is_timestamp(array.type) else str(array.type)
    dtype = np.dtype(_KINDS.get(kind, kind))
    return np.frombuffer(data, dtype, array.offset + len(array))[array.offset :]


def validity(array: pa.Array) -> np.ndarray[Any, Any] | None:
    """Return 1 where an array has a value and 0 where it has null; `None` if it has no null.

    Parameters
    ----------
    array : `pyarrow.Array`
        Any array.
    """
    import numpy as np

    if not array.null_count:
        return None
    bitmap = array.buffers()[0]
    if bitmap is None:
        return np.zeros(len(array), np.uint8)
    return _bits(bitmap, array.offset, len(array))


def _bits(buffer: pa.Buffer, offset: int, length: int) -> np.ndarray[Any, Any]:
    import numpy as np

    first = offset // 8
    raw = np.frombuffer(buffer, np.uint8)[first : (offset + length + 7) // 8]
    return np.unpackbits(raw, bitorder="little")[offset - 8 * first : offset - 8 * first + length]
