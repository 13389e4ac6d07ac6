# SPDX-License-Identifier: BSD-3-Clause
"""ECSV: tables as text, with units and metadata (astropy's APE 6)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, BinaryIO

from lakebutler.formatters.formatter import Formatter, Source

__all__ = ["EcsvFormatter"]


class EcsvFormatter(Formatter):
    """An astropy table as text."""

    key = "ecsv"
    extension = ".ecsv"
    family = "ecsv"
    provenance_style = ("LSST.BUTLER", ".")

    def read(
        self, source: Source, component: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Read the table."""
        from astropy.io.ascii import read

        self.check_request(component, parameters)
        # As lines: a text of one line would be taken for the name of a file, or a URL.
        lines = source.read().decode().splitlines() or [""]
        return read(lines, format="ecsv", guess=False)

    def write(self, obj: Any, file: BinaryIO) -> None:
        """Write a table."""
        text = io.StringIO()
        obj.write(text, format="ascii.ecsv")
        file.write(text.getvalue().encode())

    def with_provenance(self, obj: Any, facts: Mapping[str, str | int | float | bool]) -> Any:
        """Give the table with more metadata."""
        copied = obj.copy(copy_data=False)
        copied.meta.update(facts)
        return copied
