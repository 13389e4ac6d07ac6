# SPDX-License-Identifier: BSD-3-Clause
"""JSON: plain values, read back exactly as they were or refused at writing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, BinaryIO

from lakebutler.errors import FileFormatError
from lakebutler.formatters.formatter import Formatter, Source

__all__ = ["JsonFormatter"]

_PLAIN = (str, int, float, bool, type(None))


class JsonFormatter(Formatter):
    """Dicts with text keys, lists, texts, numbers, true, false, null.

    Tuples become lists, as JSON has nothing else.  Objects with a method
    ``to_simple`` or ``model_dump`` are written as what that gives.
    """

    key = "json"
    extension = ".json"
    family = "json"

    def read(
        self, source: Source, component: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Read the value; not-a-number and infinities as Python writes them."""
        self.check_request(component, parameters)
        return json.loads(source.read())

    def write(self, obj: Any, file: BinaryIO) -> None:
        """Write a value, compact, in UTF-8."""
        obj = simple(obj)
        try:
            data = json.dumps(obj, ensure_ascii=False, separators=(",", ":")).encode()
        except (TypeError, ValueError, RecursionError) as exc:
            raise FileFormatError(f"JSON cannot hold this object: {exc}") from None
        _check_keys(obj)
        file.write(data)


def simple(obj: Any) -> Any:
    """Ask an object for its form of plain values, if it has one.

    Parameters
    ----------
    obj : `object`
        Any object.

    Returns
    -------
    obj : `object`
        Plain values, or the object itself.
    """
    if isinstance(obj, (*_PLAIN, dict, list, tuple)):
        return obj
    for method in ("to_simple", "model_dump"):
        if hasattr(obj, method):
            return getattr(obj, method)()
    return obj


def _check_keys(obj: Any) -> None:
    """Refuse keys that JSON would silently turn into text; the object has no loops."""
    stack = [obj]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise FileFormatError(
                        f"JSON keys are text, not {type(key).__name__} like {key!r}",
                        hint="formatter 'yaml' keeps such keys",
                    )
            stack.extend(v for v in value.values() if isinstance(v, (dict, list, tuple)))
        elif isinstance(value, (list, tuple)):
            stack.extend(v for v in value if isinstance(v, (dict, list, tuple)))
