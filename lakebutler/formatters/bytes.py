# SPDX-License-Identifier: BSD-3-Clause
"""Bytes, as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from lakebutler.errors import FileFormatError
from lakebutler.formatters.formatter import Formatter, Source

__all__ = ["BytesFormatter"]


class BytesFormatter(Formatter):
    """The content of a file, uninterpreted."""

    key = "bytes"
    extension = ".bin"

    def read(
        self, source: Source, component: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Read the bytes."""
        self.check_request(component, parameters)
        return source.read()

    def write(self, obj: Any, file: BinaryIO) -> None:
        """Write bytes or any buffer."""
        if not isinstance(obj, bytes | bytearray | memoryview):
            raise FileFormatError(f"a file of bytes holds bytes, not {type(obj).__name__}")
        file.write(obj)
