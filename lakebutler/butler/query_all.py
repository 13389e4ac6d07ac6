# SPDX-License-Identifier: BSD-3-Clause
"""Ask for datasets of many types at once, and look over whether types can be stored."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lakebutler.butler.bulk import find_files
from lakebutler.butler.existence import DatasetExistence
from lakebutler.butler.querying import QueryingButler
from lakebutler.collections.wildcard import is_pattern, match_names, named_collections
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datastore.records import FileRecord
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.errors import InvalidQueryError, MissingDatasetTypeError, ValidationError, known_names
from lakebutler.registry import collections as all_collections
from lakebutler.registry import dataset_types

__all__ = ["ManyTypesButler"]


class ManyTypesButler(QueryingButler):
    """The verbs of `Butler` that are about many dataset types."""

    def query_all_datasets(
        self,
        collections: str | Iterable[str] | None = None,
        *,
        name: str | Iterable[str] = "*",
        find_first: bool = True,
        data_id: DataCoordinate | Mapping[str, Any] | None = None,
        where: str = "",
        bind: Mapping[str, Any] | None = None,
        limit: int | None = None,
        **kwargs: Any,
    ) -> list[DatasetRef]:
        """Find datasets of many types.

        Parameters
        ----------
        collections : `str` or iterable of `str`, optional
            Where, in search order; the default collections if not given.
        name : `str` or iterable of `str`, optional
            Names and globs of dataset types; all by default.
        find_first : `bool`, optional
            Whether only the first dataset of each type and data ID counts.
        data_id : `DataCoordinate` or mapping, optional
            Values to fix.
        where : `str`, optional
            A condition.
        bind : mapping, optional
            Values of its bind variables.
        limit : `int`, optional
            How many at most; all by default.  A negative number is a cap with a
            warning.
        **kwargs
            More values to fix.

        Returns
        -------
        refs : `list` [`DatasetRef`]
            With full data IDs, type after type; empty if there are none.

        Raises
        ------
        InvalidQueryError
            Raised if ``find_first`` is true, and there is a glob among the collections
            or there are none.
        MissingDatasetTypeError
            Raised if no dataset type has such a name.
        """
        known = self._registry.snapshot.state(all_collections.KIND)
        names = named_collections(collections, known, ordered=find_first)
        if names is None:
            names = list(self._defaults.collections)
        if find_first and not names:
            raise InvalidQueryError(
                "no collections to search: none are given, and nothing comes first among none",
                hint="name the collections, or pass find_first=False",
            )
        refs: list[DatasetRef] = []
        most = None if limit is None else abs(limit) + (limit < 0)
        with self.query() as query:
            narrow = query.where(data_id or {}, where, bind=bind, **kwargs)
            for kind in self._types_in(names, name, find_first=find_first):
                results = narrow.datasets(kind, names, find_first=find_first)
                if most is not None:
                    results = results.limit(most - len(refs))
                refs += list(results) if most is None or len(refs) < most else []
        if limit is not None and limit < 0 and len(refs) > -limit:
            warnings.warn(
                f"more than {-limit} datasets: the rest is cut off (pass limit=None for all)", stacklevel=2
            )
            refs = refs[:-limit]
        return refs

    def _types_in(
        self, names: Sequence[str], patterns: str | Iterable[str], *, find_first: bool
    ) -> list[DatasetType]:
        """Dataset types that collections hold, by name or glob."""
        snapshot = self._registry.snapshot
        state = snapshot.state(all_collections.KIND)
        if find_first and any(name not in state and is_pattern(name) for name in names):
            raise InvalidQueryError(
                "a glob among the collections has no search order",
                hint="name the collections, or pass find_first=False",
            )
        known = snapshot.state(dataset_types.KIND)
        wanted: set[str] = set()
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            found = [pattern] if pattern in known else []
            if is_pattern(pattern) and not found:
                found = list(match_names(pattern, known))
            elif not found:
                raise MissingDatasetTypeError(
                    f"there is no dataset type {pattern!r}",
                    hint=known_names(pattern, known, what="dataset types"),
                )
            wanted.update(found)
        if not wanted and known:
            raise MissingDatasetTypeError(
                f"no dataset type has a name like {patterns!r}", hint=known_names("", known, what="types")
            )
        chosen = all_collections.query_collections(snapshot, names, flatten_chains=True)
        held = all_collections.summary(snapshot, chosen)
        return [self._registry.dataset_type(name) for name in sorted(wanted & set(held))]

    def _exists_many(
        self, refs: Iterable[DatasetRef], /, *, full_check: bool = True
    ) -> dict[DatasetRef, DatasetExistence]:
        """Whether datasets exist, and where each was found.

        Parameters
        ----------
        refs : iterable of `DatasetRef`
            The datasets.
        full_check : `bool`, optional
            Whether to look for the files, too.

        Returns
        -------
        existence : `dict` [`DatasetRef`, `DatasetExistence`]
            One for each.
        """
        from lakebutler.butler.bulk import find_many

        given = list(refs)
        with self._session.held():
            files = find_files(self._registry, given)
            registered = {ref.id for ref in find_many(self._registry, [ref.id for ref in given])}
        stored = [FileRecord._make(file) for file in files if file is not None]
        there = dict(zip(stored, self._datastore.exists_many(stored), strict=True)) if full_check else {}
        result = {}
        for ref, file in zip(given, files, strict=True):
            if file is None:
                known = ref.id in registered
                result[ref] = DatasetExistence.RECORDED if known else DatasetExistence.UNRECOGNIZED
            elif not full_check:
                result[ref] = DatasetExistence.KNOWN
            elif there[FileRecord._make(file)]:
                result[ref] = DatasetExistence.VERIFIED
            else:
                result[ref] = DatasetExistence.RECORDED | DatasetExistence.DATASTORE
        return result

    def validateConfiguration(
        self,
        logFailures: bool = False,
        datasetTypeNames: Iterable[str] | None = None,
        ignore: Iterable[str] | None = None,
    ) -> None:
        """Check that datasets of the registered types can be stored.

        Parameters
        ----------
        logFailures : `bool`, optional
            Whether to log each problem.
        datasetTypeNames : iterable of `str`, optional
            Names and globs of the types to look at; all by default.
        ignore : iterable of `str`, optional
            Names and globs of types to pass over.

        Raises
        ------
        ValidationError
            Raised with every problem, one line each.
        """
        known = self._registry.snapshot.state(dataset_types.KIND)
        chosen = list(known) if datasetTypeNames is None else _matching(list(datasetTypeNames), known)
        passed = set(_matching(list(ignore or ()), known))
        problems = self._datastore.validate(
            self._registry.dataset_type(name) for name in sorted(chosen) if name not in passed
        )
        if logFailures:
            for problem in problems:
                import logging

                logging.getLogger(__name__).error("%s", problem)
        if problems:
            raise ValidationError("\n".join(problems), hint="register other storage classes or formatters")


def _matching(patterns: Iterable[str], known: Mapping[str, Any]) -> list[str]:
    return [
        name
        for pattern in patterns
        for name in ([pattern] if pattern in known else match_names(pattern, known))
    ]
