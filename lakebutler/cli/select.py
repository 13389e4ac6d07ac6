# SPDX-License-Identifier: BSD-3-Clause
"""The datasets that the options of a verb choose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lakebutler.cli.names import is_glob, match_collections, match_dataset_types
from lakebutler.cli.options import Selection
from lakebutler.cli.session import say
from lakebutler.errors import InvalidQueryError

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler
    from lakebutler.datasets.dataset_ref import DatasetRef
    from lakebutler.datasets.dataset_type import DatasetType
    from lakebutler.query.results import DatasetRefQueryResults

__all__ = ["explain_datasets", "select_datasets", "with_only_governors"]


def with_only_governors(butler: Butler, where: str | None) -> Butler:
    """Let a condition leave out the instrument (or skymap) where there is only one.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    where : `str` or `None`
        The condition.

    Returns
    -------
    butler : `Butler`
        With the only instrument and skymap of the repository as defaults.
    """
    if not where:
        return butler
    only = {}
    for name in butler.dimensions.governor_dimensions.names:
        records = butler.query_dimension_records(name, limit=2, explain=False)
        if len(records) == 1:
            only[name] = records[0].dataId[name]
    return butler.clone(dataId=only) if only else butler


def select_datasets(butler: Butler, selection: Selection) -> list[tuple[DatasetType, list[DatasetRef]]]:
    """Find datasets of several types.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    selection : `Selection`
        Which ones.

    Returns
    -------
    found : `list` [`tuple`]
        Each dataset type that has any, with its datasets.  If only one type was
        asked for and it has none, the reasons are said on standard error.

    Raises
    ------
    InvalidQueryError
        Raised for ``find_first`` without collections or with globs.
    """
    found = []
    skip, remaining = selection.offset, abs(selection.limit)
    searches = list(_results(butler, selection))
    for dataset_type, results in searches:
        if selection.limit:
            results = results.limit(skip + remaining)
        refs = list(results)
        if not refs and len(searches) == 1:
            for reason in results.explain_no_results():
                say(reason)
        kept = refs[skip:]
        skip = max(0, skip - len(refs))
        remaining -= len(kept)
        if kept:
            found.append((dataset_type, kept))
        if selection.limit and remaining <= 0:
            break
    return found


def explain_datasets(butler: Butler, selection: Selection) -> Iterator[str]:
    """Say how datasets would be found.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    selection : `Selection`
        Which ones.

    Yields
    ------
    text : `str`
        Plan and SQL, for each dataset type.
    """
    for dataset_type, results in _results(butler, selection):
        yield f"-- {dataset_type.name}\n{results.explain()}"


def _results(butler: Butler, selection: Selection) -> Iterator[tuple[DatasetType, DatasetRefQueryResults]]:
    if selection.find_first and (not selection.collections or any(map(is_glob, selection.collections))):
        raise InvalidQueryError(
            "--find-first needs --collections with plain names",
            hint="their order says which one is searched first",
        )
    dataset_types = match_dataset_types(butler, selection.dataset_types)
    collections = _search_path(butler, selection)
    if not collections:
        return
    with with_only_governors(butler, selection.where).query() as query:
        if selection.where:
            query = query.where(selection.where)
        for dataset_type in dataset_types:
            results = query.datasets(dataset_type, collections, find_first=selection.find_first)
            yield (
                dataset_type,
                results.order_by(*(selection.order_by or tuple(dataset_type.dimensions.required))),
            )


def _search_path(butler: Butler, selection: Selection) -> list[str]:
    if not selection.collections:  # every dataset is in exactly one run
        return [info.name for info in butler.collections.query_info("*") if info.type.name == "RUN"]
    matched = match_collections(butler, selection.collections)
    return list(selection.collections) if selection.find_first else matched
