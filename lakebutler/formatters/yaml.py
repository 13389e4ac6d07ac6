# SPDX-License-Identifier: BSD-3-Clause
"""YAML: plain values for people; only the safe tags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, BinaryIO

from lakebutler.errors import FileFormatError
from lakebutler.formatters.formatter import Formatter, Source
from lakebutler.formatters.json import simple

__all__ = ["YamlFormatter"]

_DEPTH = 500
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
        """Read the value with the safe loader: no tag makes an object."""
        import yaml

        self.check_request(component, parameters)
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
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
