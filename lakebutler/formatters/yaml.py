# SPDX-License-Identifier: BSD-3-Clause
"""YAML: plain values for people; only the safe tags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, BinaryIO

from lakebutler.errors import FileFormatError
from lakebutler.formatters.formatter import Formatter, Source
from lakebutler.formatters.json import simple

__all__ = ["YamlFormatter"]

_DEPTH = 500
_TUPLE = "tag:yaml.org,2002:python/tuple"
_PROPERTIES = ("lsst.daf.base.PropertyList", "lsst.daf.base.PropertySet")
_INDENTATION = re.compile(rb"^[ \t:?-]+", re.MULTILINE)


class YamlFormatter(Formatter):
    """Plain values with any scalar keys, dates and bytes too."""

    key = "yaml"
    extension = ".yaml"
    extensions = (".yml",)
    family = "yaml"

    def read(
        self, source: Source, component: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Read the value: no tag makes an object.

        Tuples become lists, and the property lists of the LSST pipelines dicts.
        """
        import yaml

        self.check_request(component, parameters)
        loader = _loader()
        data = source.read()
        _check_depth(data, loader)
        return yaml.load(data, Loader=loader)  # noqa: S506 - a safe loader

    def write(self, obj: Any, file: BinaryIO) -> None:
        """Write a value, keys in their order."""
        import yaml

        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        try:
            text = yaml.dump(_plain(simple(obj)), Dumper=dumper, sort_keys=False, allow_unicode=True)
        except UnicodeEncodeError as exc:
            raise FileFormatError(f"YAML cannot hold this object: {exc}") from None
        except (yaml.YAMLError, TypeError, RecursionError) as exc:
            reason = " ".join(str(part) for part in exc.args) or type(exc).__name__
            raise FileFormatError(f"YAML cannot hold this object: {reason}") from None
        file.write(text.encode())


@lru_cache(maxsize=1)
def _loader() -> Any:
    """Make the safe loader that also knows two harmless tags of calibration files."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    Loader.add_constructor(_TUPLE, lambda loader, node: loader.construct_sequence(node, deep=True))
    for tag in _PROPERTIES:
        Loader.add_constructor(tag, _properties)
    return Loader


def _properties(loader: Any, node: Any) -> dict[str, Any]:
    """Read a property list, rows of name, type, value and comment, as name to value."""
    rows = loader.construct_sequence(node, deep=True)
    if not all(isinstance(row, list) and len(row) == 4 and isinstance(row[0], str) for row in rows):
        raise FileFormatError(f"line {node.start_mark.line + 1}: a property list has rows of four")
    return {row[0]: row[2] for row in rows}


def _check_depth(data: bytes, loader: Any) -> None:
    """Refuse what is nested so deeply that the C loader, which recurses, would crash.

    Where there are few brackets and little indentation there is nothing to look for.
    """
    import yaml

    deepest = max((len(run) for run in _INDENTATION.findall(data)), default=0)
    if data.count(b"[") + data.count(b"{") + deepest < _DEPTH:
        return
    depth = 0
    for event in yaml.parse(data, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEPTH:
                raise FileFormatError(f"the YAML is nested more than {_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _plain(obj: Any) -> Any:
    """Make dicts and lists of subclasses plain, as the safe dumper knows only these."""
    if isinstance(obj, Mapping):
        return {key: _plain(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [_plain(value) for value in obj]
    return obj
