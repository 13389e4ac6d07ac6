# SPDX-License-Identifier: BSD-3-Clause
"""What all parts of the butler share: the open repository and the defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lakebutler.butler.defaults import RegistryDefaults
from lakebutler.butler.pending import Pending
from lakebutler.butler.repository import Repository
from lakebutler.collections.collection import CollectionType
from lakebutler.collections.wildcard import is_pattern, named_collections
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datasets.storage_class import StorageClassFactory
from lakebutler.dimensions.columns import fit_key
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import (
    CollectionExpressionError,
    DimensionNameError,
    DimensionValueError,
    NoDefaultCollectionError,
    known_names,
)
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry import collections
from lakebutler.registry.registry import Registry
from lakebutler.registry.schema import DATASET_PREFIX
from lakebutler.timespan import Timespan

__all__ = ["ButlerBase", "Defaults", "attach_defaults", "governor_values"]


class Defaults:
    """Default collections, run and data ID of a butler, with what is inferred from them.

    Parameters
    ----------
    value : `RegistryDefaults`
        What the caller said.
    """

    def __init__(self, value: RegistryDefaults) -> None:
        self.value = value
        self.collections = value.collections
        self.run = value.run
        self.data_id = dict(value.given)
        self.infer = value.infer
        self._inferred: dict[str, Any] = {}
        self._undecided: dict[str, Snapshot] = {}

    def arguments(self) -> dict[str, Any]:
        """As arguments of `Butler.from_config`."""
        return {
            "collections": self.collections,
            "run": self.run,
            "inferDefaults": self.infer,
            **self.data_id,
        }

    def governor(self, registry: Registry, name: str) -> Any:
        """Default value of a governor dimension.

        Parameters
        ----------
        registry : `Registry`
            Where to look.
        name : `str`
            The governor, such as ``instrument``.

        Returns
        -------
        value : `str` or `None`
            `None` if there is none.
        """
        if name in self.data_id:
            return self.data_id[name]
        if not self.infer or not self.collections:
            return None
        if name not in self._inferred:
            snapshot = registry.snapshot
            if self._undecided.get(name) is snapshot:
                return None
            found = governor_values(snapshot, self.collections, name)
            if len(found) != 1:
                self._undecided[name] = snapshot
                return None
            self._inferred[name] = found.pop()
        return self._inferred[name]


def governor_values(snapshot: Snapshot, names: Sequence[str], governor: str) -> set[Any]:
    """Find the values that a governor has in the datasets of collections.

    Parameters
    ----------
    snapshot : `Snapshot`
        Where to look.
    names : sequence of `str`
        Collections; those that do not exist are passed over.
    governor : `str`
        The governor, such as ``instrument``.

    Returns
    -------
    values : `set`
        The values; empty if no dataset has any.
    """
    known = snapshot.state(collections.KIND)
    wanted = set(collections.flatten(snapshot, [n for n in names if n in known]))
    found: set[Any] = set()
    for table, schema in snapshot.schemas().items():
        if not table.startswith(DATASET_PREFIX) or governor not in {c.name for c in schema.columns}:
            continue
        held = sorted({scope[1] for scope, rows in snapshot.scopes(table).items() if rows > 0} & wanted)
        if held:
            found |= snapshot.distinct(table, governor, {"collection": held})
    return found


def attach_defaults(registry: Registry, value: RegistryDefaults) -> Defaults:
    """Check defaults against a repository; registers the run if need be.

    Parameters
    ----------
    registry : `Registry`
        Of the repository.
    value : `RegistryDefaults`
        What the caller said.

    Returns
    -------
    defaults : `Defaults`
        To be used.

    Raises
    ------
    CollectionExpressionError
        Raised if a collection is not given by name.  One that does not exist yet may be.
    MissingCollectionError
        Raised if the run does not exist in a repository that is only read.
    DimensionNameError
        Raised if a value is given of what is no governor dimension.
    """
    for name, given in value.given.items():
        _check_governor(registry.universe, name, given)
    known = registry.snapshot.state(collections.KIND)
    places: Sequence[Any] = value.collections
    for place in places:
        if place == value.run and isinstance(place, str):
            continue  # a name, whatever it looks like
        if not isinstance(place, str) or (place not in known and is_pattern(place)):
            raise CollectionExpressionError(
                f"default collections are searched in order and given by name, not as {place!r}",
                hint="name them; collections.query finds the names for a pattern",
            )
    if value.run is not None and registry.session.writeable:
        registry.register_collection(value.run, CollectionType.RUN)
    elif value.run is not None:
        registry.search_path([value.run])  # names it if it is missing
    values = {
        name: fit_key(registry.universe.dimensions[name].primary_key, given)
        for name, given in value.given.items()
    }
    return Defaults(value.clone(dataId=values))


def _check_governor(universe: DimensionUniverse, name: str, value: Any) -> None:
    if name not in universe.governor_dimensions.names:
        raise DimensionNameError(
            f"{name!r} is no argument of Butler and no governor dimension",
            hint=known_names(name, universe.governor_dimensions.names, what="governor dimensions"),
        )
    try:
        fit_key(universe.dimensions[name].primary_key, value)
    except (TypeError, ValueError) as exc:
        raise DimensionValueError(f"default value of {name} {exc}") from None


class ButlerBase:
    """State of a butler; see `Butler`.

    Parameters
    ----------
    repository : `Repository`
        The open repository.
    registry : `Registry`
        Its registry.
    defaults : `Defaults`
        Default collections, run and data ID.
    """

    def __init__(self, repository: Repository, registry: Registry, defaults: Defaults) -> None:
        self._repository = repository
        self._registry = registry
        self._defaults = defaults
        self._datastore = repository.datastore
        self._session = repository.session
        self._pending = Pending(repository.datastore, registry)

    @property
    def dimensions(self) -> DimensionUniverse:
        """The repository's dimensions."""
        return self._repository.universe

    @property
    def storageClasses(self) -> StorageClassFactory:
        """All storage classes."""
        return StorageClassFactory()

    @property
    def defaults(self) -> RegistryDefaults:
        """Default collections, run and data ID; can be set, to defaults that are checked.

        The data ID has the inferred values, too.
        """
        given = self._defaults.value
        if not given.infer or not given.collections:
            return given
        names = self._repository.universe.governor_dimensions.names
        found = {name: self._defaults.governor(self._registry, name) for name in names}
        return given.inferred({name: value for name, value in found.items() if value is not None})

    @defaults.setter
    def defaults(self, value: RegistryDefaults) -> None:
        self._defaults = attach_defaults(self._registry, value)

    @property
    def run(self) -> str | None:
        """Run that `put` writes to, unless told otherwise."""
        return self._defaults.run

    def isWriteable(self) -> bool:
        """Whether the butler can change the repository."""
        return self._session.writeable

    def _search_path(self, names: Any) -> list[tuple[str, CollectionType]]:
        if names is None:
            chosen: Sequence[str] = self._defaults.collections
            if not chosen:
                known = self._registry.snapshot.state(collections.KIND)
                raise NoDefaultCollectionError(
                    "no collections to search: none are given, and the butler has no default",
                    hint=f"pass collections=; {known_names('', known, what='collections')}",
                )
        else:
            snapshot = self._registry.snapshot
            state = snapshot.state(collections.KIND)
            chosen = named_collections(names, state) or ()
            if any(name not in state and is_pattern(name) for name in chosen):
                chosen = collections.query_collections(snapshot, chosen)
        return self._registry.search_path(chosen)

    def _resolve(
        self,
        dataset_type: DatasetType,
        data_id: DataCoordinate | Mapping[str, Any] | None,
        keywords: Mapping[str, Any],
    ) -> tuple[DataCoordinate, Timespan | None]:
        from lakebutler.butler.data_ids import resolve_data_id

        def default(name: str) -> Any:
            return self._defaults.governor(self._registry, name)

        return resolve_data_id(self._registry, dataset_type, data_id, keywords, default)
