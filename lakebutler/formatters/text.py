# SPDX-License-Identifier: BSD-3-Clause
"""Text, as UTF-8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from lakebutler.errors import FileFormatError
from lakebutler.formatters.formatter import Formatter, Source

__all__ = ["TextFormatter"]


class TextFormatter(Formatter):
    """A `str`; line ends are kept as they are."""

    key = "text"
    extension = ".txt"
    extensions = (".log", ".md", ".csv", ".reg")
    family = "text"

    def read(
        self, source: Source, component: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Read the text."""
        self.check_request(component, parameters)
        return source.read().decode()

    def write(self, obj: Any, file: BinaryIO) -> None:
        """Write a text."""
        if not isinstance(obj, str):
            raise FileFormatError(f"a text file holds str, not {type(obj).__name__}")
        try:
            file.write(obj.encode())
        except UnicodeEncodeError as exc:
            raise FileFormatError(f"UTF-8 cannot hold this text: {exc}") from None
