# SPDX-License-Identifier: BSD-3-Clause
"""Settings that hold for some datasets only.  Pure.

A table of settings has keys of these kinds; the first that fits is taken::

    instrument<HSC>: {...}    a table of the same kind, for one instrument
    raw                       a dataset type
    exposure+detector         its dimensions, in any order
    CCDData                   its storage class
    default                   everything else
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from lakebutler.errors import RepositoryFormatError

__all__ = ["Overrides"]

T = TypeVar("T")

_INSTRUMENT = re.compile(r"instrument<([^<>]+)>")


class Overrides(Generic[T]):
    """A parsed table of settings.

    Parameters
    ----------
    table : mapping
        As in the repository's configuration.
    parse : callable
        Makes the setting of its text; may raise.
    what : `str`
        What is set, for messages.
    kind : `type`, optional
        What the settings are in the configuration: text by default.
    whole : `bool`, optional
        Whether settings are about whole datasets: a component then has only those of its own
        name and of its own storage class.
    """

    def __init__(
        self,
        table: Mapping[str, Any] | None,
        parse: Callable[[Any], T],
        what: str,
        *,
        kind: type = str,
        whole: bool = False,
    ) -> None:
        self._whole = whole
        self._general: dict[str, T] = {}
        self._dimensions: dict[frozenset[str], T] = {}
        self._instruments: dict[str, Overrides[T]] = {}
        self._found: dict[tuple[str, str | None], T | None] = {}
        if table is not None and not isinstance(table, Mapping):
            raise RepositoryFormatError(f"{what} must be a mapping, not {type(table).__name__}")
        for key, value in (table or {}).items():
            match = _INSTRUMENT.fullmatch(str(key))
            if match is not None:
                if not isinstance(value, Mapping):
                    raise RepositoryFormatError(f"{what}: {key} must be a mapping")
                self._instruments[match[1]] = Overrides(
                    value, parse, f"{what}, {key}", kind=kind, whole=whole
                )
            elif not isinstance(value, kind):
                right = "text" if kind is str else "true or false"
                wrong = type(value).__name__
                raise RepositoryFormatError(f"{what}: the value of {key!r} must be {right}, not {wrong}")
            elif "+" in str(key):
                self._dimensions[frozenset(str(key).split("+"))] = parse(value)
            else:
                self._general[str(key)] = parse(value)

    def __bool__(self) -> bool:
        return bool(self._general or self._dimensions or self._instruments)

    def find(self, ref: Any) -> T | None:
        """Find the setting for a dataset.

        Parameters
        ----------
        ref : `DatasetRef`
            The dataset.

        Returns
        -------
        value : `object` or `None`
            `None` if none fits.
        """
        if not (self._general or self._dimensions or self._instruments):
            return None
        dataset_type = ref.datasetType
        instrument = ref.dataId.get("instrument") if self._instruments else None
        key = (dataset_type.name, instrument)
        if key not in self._found:
            if len(self._found) > 10_000:
                self._found.clear()
            self._found[key] = self._search(dataset_type, instrument)
        return self._found[key]

    def _search(self, dataset_type: Any, instrument: str | None) -> T | None:
        inner = self._instruments.get(instrument) if instrument is not None else None
        if inner is not None:
            found = inner._search(dataset_type, None)
            if found is not None:
                return found
        name = dataset_type.name
        if self._whole and "." in name:
            return self._general.get(name, self._general.get(dataset_type.storageClass_name))
        for key in (name, name.partition(".")[0]):
            if key in self._general:
                return self._general[key]
        dimensions = frozenset(dataset_type.dimensions.required)
        for names, value in self._dimensions.items():
            if names == dimensions or names == dimensions - {"instrument", "skymap"}:
                return value
        for key in (dataset_type.storageClass_name, "default"):
            if key in self._general:
                return self._general[key]
        return None
