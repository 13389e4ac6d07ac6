# SPDX-License-Identifier: BSD-3-Clause
"""Pickle: any Python object, for those who trust the file.

Unpickling runs whatever the file says.  The factory gives this formatter only to
a caller who said ``trust=True``; nothing in a repository can say that.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, BinaryIO

from lakebutler.errors import FileFormatError
from lakebutler.formatters.formatter import Formatter, Source

__all__ = ["PickleFormatter"]


class PickleFormatter(Formatter):
    """Any object that can be pickled."""

    key = "pickle"
    extension = ".pickle"
    extensions = (".pkl",)
    family = "pickle"
    needs_trust = True

    def read(
        self, source: Source, component: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Unpickle the object."""
        self.check_request(component, parameters)
        return pickle.loads(source.read())  # noqa: S301 - the caller said trust=True

    def write(self, obj: Any, file: BinaryIO) -> None:
        """Pickle an object."""
        try:
            file.write(pickle.dumps(obj, protocol=5))
        except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as exc:
            raise FileFormatError(f"this object cannot be pickled: {exc}") from None
