# SPDX-License-Identifier: BSD-3-Clause
"""The datasets that the options of a verb choose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakebutler.cli.names import is_glob, match_collections, match_dataset_types
from lakebutler.cli.options import Selection
from lakebutler.cli.session import say
from lakebutler.errors import EmptyQueryResultError, InvalidQueryError

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler
    from lakebutler.datasets.dataset_ref import DatasetRef
    from lakebutler.datasets.dataset_type import DatasetType

__all__ = ["select_datasets"]

Found = list[tuple["DatasetType", list["DatasetRef"]]]


def select_datasets(butler: Butler, selection: Selection) -> Found:
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
        Each dataset type that has any, with its datasets.  Why a type has none is
        said on standard error where only one was asked for.

    Raises
    ------
    InvalidQueryError
        Raised for ``find_first`` without collections or with globs.
    """
    if selection.find_first and (not selection.collections or any(map(is_glob, selection.collections))):
        raise InvalidQueryError(
            "--find-first needs --collections with plain names",
            hint="their order says which one is searched first",
        )
    dataset_types = match_dataset_types(butler, selection.dataset_types)
    collections = match_collections(butler, selection.collections)
    if selection.find_first:
        collections = list(selection.collections)
    found: Found = []
    remaining = abs(selection.limit) + selection.offset if selection.limit else None
    for dataset_type in dataset_types if collections else ():
        if remaining == 0:
            break
        refs = _search(butler, dataset_type, collections, selection, remaining, alone=len(dataset_types) == 1)
        if refs:
            found.append((dataset_type, refs))
        if remaining is not None:
            remaining -= len(refs)
    return _skip(found, selection.offset)


def _search(
    butler: Butler,
    dataset_type: DatasetType,
    collections: list[str],
    selection: Selection,
    limit: int | None,
    *,
    alone: bool,
) -> list[DatasetRef]:
    try:
        return butler.query_datasets(
            dataset_type,
            collections,
            find_first=selection.find_first,
            where=selection.where or "",
            order_by=list(selection.order_by) or None,
            limit=limit,
            explain=alone,
        )
    except EmptyQueryResultError as exc:
        say("\n".join(exc.reasons))
        return []


def _skip(found: Found, offset: int) -> Found:
    kept: Found = []
    for dataset_type, refs in found:
        rest = refs[offset:]
        offset = max(0, offset - len(refs))
        if rest:
            kept.append((dataset_type, rest))
    return kept
