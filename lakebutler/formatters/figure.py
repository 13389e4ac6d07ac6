# SPDX-License-Identifier: BSD-3-Clause
"""Matplotlib figures, as PNG pictures.

A picture cannot be turned back into a figure: what is read is a `Picture`, which a
notebook shows, which is the file's bytes, and which gives its pixels.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, BinaryIO

from lakebutler.errors import FileFormatError
from lakebutler.formatters.formatter import Formatter, Source

__all__ = ["FigureFormatter", "Picture"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Picture(bytes):
    """A PNG picture: the bytes of the file, shown by notebooks."""

    __slots__ = ()

    def _repr_png_(self) -> bytes:
        return bytes(self)

    def pixels(self) -> Any:
        """Decode the picture.

        Returns
        -------
        pixels : `numpy.ndarray`
            Red, green, blue and opacity from 0 to 1, of shape (rows, columns, 4).
        """
        from matplotlib.image import imread

        return imread(io.BytesIO(self), format="png")

    def __repr__(self) -> str:
        width, height = (int.from_bytes(self[i : i + 4], "big") for i in (16, 20))
        return f"<PNG picture of {width} by {height} pixels>"

    __str__ = __repr__


class FigureFormatter(Formatter):
    """A figure, or anything else that has ``savefig``."""

    key = "figure"
    extension = ".png"
    family = "figure"
    one_way = True

    def read(
        self, source: Source, component: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Read the picture."""
        self.check_request(component, parameters)
        data = source.read()
        if not data.startswith(_SIGNATURE):
            raise FileFormatError("this is no PNG picture")
        return Picture(data)

    def write(self, obj: Any, file: BinaryIO) -> None:
        """Draw a figure."""
        if isinstance(obj, bytes) and obj.startswith(_SIGNATURE):
            file.write(obj)
            return
        if not hasattr(obj, "savefig"):
            raise FileFormatError(f"an object of type {type(obj).__name__} cannot draw itself")
        buffer = io.BytesIO()
        obj.savefig(buffer, format="png", metadata={"Software": None})
        file.write(buffer.getbuffer())
