# SPDX-License-Identifier: BSD-3-Clause
"""Files of any kind, as they are: a path on the local disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from lakebutler.errors import FileFormatError
from lakebutler.formatters.formatter import Formatter, Source

__all__ = ["FileFormatter"]


class FileFormatter(Formatter):
    """A file whose format we need not know.

    Writing takes the path of a file and keeps its content.  Reading gives the
    path of the repository's own file, or of a temporary copy where that is not
    on the local disk; it is not to be changed.
    """

    key = "file"
    extension = ".dat"

    def read(
        self, source: Source, component: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Give the path; the bytes where there is none."""
        self.check_request(component, parameters)
        return Path(source.path) if source.path is not None else source.read()

    def write(self, obj: Any, file: BinaryIO) -> None:
        """Copy the content of a file."""
        if not isinstance(obj, str | os.PathLike):
            raise FileFormatError(f"a file is given by its path, not by {type(obj).__name__}")
        with open(obj, "rb") as stream:
            shutil.copyfileobj(stream, file, 1 << 20)
