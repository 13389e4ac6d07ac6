# SPDX-License-Identifier: BSD-3-Clause
"""Which datasets a repository takes: the section ``constraints`` of its datastore.  Pure.

::

    constraints:
      accept: [raw, exposure+detector, StructuredDataDict, "instrument<HSC>": [all]]
      reject: [StructuredDataList]

A list has names of dataset types, dimensions joined by ``+``, storage classes, ``all``,
and lists for one instrument.  The most telling entry decides (dataset type, dimensions,
storage class, ``all``; one for the instrument before all others), a rejection before an
acceptance of the same kind.  Where only some are accepted, the others are rejected.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lakebutler.datastore.lookup import Overrides
from lakebutler.errors import DatasetTypeNotSupportedError, RepositoryFormatError, known_names

__all__ = ["Constraints"]

_VERDICTS = ("accept", "reject")


class Constraints:
    """What datasets are taken.

    Parameters
    ----------
    config : mapping, optional
        ``accept`` and ``reject``; without it, everything is taken.

    Raises
    ------
    RepositoryFormatError
        Raised if it is not of this form.
    """

    def __init__(self, config: Mapping[str, Any] | None) -> None:
        if config is not None and not isinstance(config, Mapping):
            raise RepositoryFormatError("constraints must be a mapping with accept and reject")
        table: dict[str, Any] = {}
        for verdict, entries in (config or {}).items():
            if verdict not in _VERDICTS:
                raise RepositoryFormatError(
                    f"constraints have unknown {verdict!r}", hint=known_names(str(verdict), _VERDICTS)
                )
            _gather(table, verdict, entries)
        accepts = "accept" in (config or {})
        if config and "default" not in table:
            table["default"] = "reject" if accepts else "accept"
        self._overrides: Overrides[str] = Overrides(table, str, "constraints")

    def __bool__(self) -> bool:
        return bool(self._overrides)

    def accepts(self, ref: Any) -> bool:
        """Whether a dataset is taken.

        Parameters
        ----------
        ref : `DatasetRef`
            The dataset.

        Returns
        -------
        accepted : `bool`
            True without constraints.
        """
        return self._overrides.find(ref) != "reject"

    def require(self, refs: Iterable[Any]) -> None:
        """Refuse datasets that are not taken.

        Parameters
        ----------
        refs : iterable of `DatasetRef`
            The datasets.

        Raises
        ------
        DatasetTypeNotSupportedError
            Raised with the first one that is not taken.
        """
        if not self._overrides:
            return
        for ref in refs:
            if not self.accepts(ref):
                kind = ref.datasetType
                raise DatasetTypeNotSupportedError(
                    f"{kind.name} ({kind.storageClass_name}) {ref.dataId} is not taken: "
                    "the repository's constraints reject it",
                    hint="they stand in its butler.yaml, under datastore: constraints:",
                )


def _gather(table: dict[str, Any], verdict: str, entries: Any) -> None:
    """Note the entries of a list; a rejection prevails."""
    if not isinstance(entries, list):
        raise RepositoryFormatError(f"constraints: {verdict} must be a list, not {entries!r}")
    for entry in entries:
        if isinstance(entry, Mapping):
            for instrument, inner in entry.items():
                _gather(table.setdefault(str(instrument), {}), verdict, inner)
        elif isinstance(entry, str):
            key = "default" if entry == "all" else entry
            if table.get(key) != "reject":
                table[key] = verdict
        else:
            raise RepositoryFormatError(f"constraints: {verdict} has {entry!r}, which is no name")
