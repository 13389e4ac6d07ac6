# SPDX-License-Identifier: BSD-3-Clause
"""Numpy arrays, as .npy; never pickled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from lakebutler.errors import FileFormatError
from lakebutler.formatters.formatter import Formatter, Source

__all__ = ["NumpyFormatter"]


class NumpyFormatter(Formatter):
    """An array of any shape and any dtype but object."""

    key = "numpy"
    extension = ".npy"
    family = "numpy"

    def read(
        self, source: Source, component: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Read the array."""
        import numpy

        self.check_request(component, parameters)
        if source.path is not None and not source.in_memory:
            return numpy.load(source.path, allow_pickle=False)
        with source.open() as stream:
            return numpy.lib.format.read_array(stream, allow_pickle=False)

    def write(self, obj: Any, file: BinaryIO) -> None:
        """Write an array."""
        import numpy

        if isinstance(obj, numpy.ma.MaskedArray):
            raise FileFormatError(
                "a .npy file has no mask",
                hint="use obj.filled(...), or storage class CCDData or AstropyTable",
            )
        array = numpy.asarray(obj)
        if array.dtype.hasobject:
            raise FileFormatError(f"a .npy file cannot hold dtype {array.dtype} without pickle")
        numpy.lib.format.write_array(file, array, allow_pickle=False)
