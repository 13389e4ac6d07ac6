# SPDX-License-Identifier: BSD-3-Clause
"""`RegistryDefaults`: what a butler searches and writes to unless it is told otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import EllipsisType
from typing import Any

__all__ = ["RegistryDefaults"]


class RegistryDefaults:
    """Default collections, run and data ID; immutable.

    Parameters
    ----------
    collections : `str` or iterable of `str`, optional
        Collections to search, in order; ``run`` if not given.
    run : `str`, optional
        Run to write to.
    infer : `bool`, optional
        Whether a governor dimension with a single value in the default collections
        takes that value.
    **kwargs
        Values of governor dimensions.
    """

    def __init__(
        self,
        collections: str | Iterable[str] | None = None,
        run: str | None = None,
        infer: bool = True,
        **kwargs: Any,
    ) -> None:
        self._given = collections is not None
        names: Any = (run,) if collections is None and run is not None else collections or ()
        several = isinstance(names, Iterable) and not isinstance(names, str)
        self._collections: tuple[str, ...] = tuple(names) if several else (names,)
        self._run = run
        self._infer = infer
        self._data_id = dict(kwargs)
        self._inferred: dict[str, Any] = {}

    @property
    def collections(self) -> tuple[str, ...]:
        """Collections to search, in order."""
        return self._collections

    @property
    def run(self) -> str | None:
        """Run to write to."""
        return self._run

    @property
    def infer(self) -> bool:
        """Whether governor values are inferred."""
        return self._infer

    @property
    def dataId(self) -> Mapping[str, Any]:
        """Values of governor dimensions, given ones and, of defaults that a butler has, inferred ones."""
        return {**self._inferred, **self._data_id}

    @property
    def given(self) -> Mapping[str, Any]:
        """Values of governor dimensions that were given, not inferred."""
        return dict(self._data_id)

    def inferred(self, values: Mapping[str, Any]) -> RegistryDefaults:
        """Make the same defaults that know inferred values, too; compared are the given ones only.

        Parameters
        ----------
        values : mapping
            Values of governor dimensions.
        """
        made = self.clone()
        made._inferred = dict(values)
        return made

    @staticmethod
    def from_data_id(data_id: Mapping[str, Any]) -> RegistryDefaults:
        """Make defaults that have a data ID only."""
        values = getattr(data_id, "mapping", data_id)
        return RegistryDefaults(None, None, False, **dict(values))

    def clone(
        self,
        collections: str | Iterable[str] | EllipsisType | None = ...,
        run: str | EllipsisType | None = ...,
        inferDefaults: bool | EllipsisType = ...,
        dataId: Mapping[str, Any] | EllipsisType = ...,
    ) -> RegistryDefaults:
        """Make other defaults; what is left out stays.

        Parameters
        ----------
        collections, run, inferDefaults, dataId
            As for `Butler.clone`.

        Returns
        -------
        defaults : `RegistryDefaults`
            The defaults; collections that were not given follow the run.
        """
        if isinstance(collections, EllipsisType):
            collections = self._collections if self._given else None
        return RegistryDefaults(
            collections,
            self._run if isinstance(run, EllipsisType) else run,
            self._infer if isinstance(inferDefaults, EllipsisType) else inferDefaults,
            **(self._data_id if isinstance(dataId, EllipsisType) else dict(dataId)),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RegistryDefaults):
            return NotImplemented
        return (self._collections, self._run, self._infer, self._data_id) == (
            other._collections,
            other._run,
            other._infer,
            other._data_id,
        )

    def __hash__(self) -> int:
        return hash((self._collections, self._run, self._infer))

    def __repr__(self) -> str:
        values = "".join(f", {name}={value!r}" for name, value in self._data_id.items())
        return f"RegistryDefaults(collections={self._collections!r}, run={self._run!r}{values})"
