# SPDX-License-Identifier: BSD-3-Clause
"""Names and globs as people type them, against what a repository has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from lakebutler.cli.session import say
from lakebutler.errors import MissingCollectionError, MissingDatasetTypeError, known_names

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler
    from lakebutler.datasets.dataset_type import DatasetType

__all__ = ["is_glob", "match_collections", "match_dataset_types", "one_dataset_type", "select"]


def is_glob(text: str) -> bool:
    """Whether a name holds a wildcard.

    Parameters
    ----------
    text : `str`
        A name or a glob.

    Returns
    -------
    glob : `bool`
        True if it is a glob.
    """
    return any(character in text for character in "*?[")


def select(patterns: Sequence[str], present: Iterable[str]) -> tuple[list[str], list[str]]:
    """Choose names by names and globs.

    Parameters
    ----------
    patterns : sequence of `str`
        Names and globs; none means all.
    present : iterable of `str`
        What there is.

    Returns
    -------
    chosen : `list` [`str`]
        What matches, sorted.
    unmatched : `list` [`str`]
        Patterns that match nothing.
    """
    pool = sorted(present)
    if not patterns:
        return pool, []
    # A name that exists is that name, even if it reads as a glob.
    matches = {
        p: [p] if p in pool else [n for n in pool if is_glob(p) and fnmatchcase(n, p)] for p in patterns
    }
    chosen = {name for names in matches.values() for name in names}
    return sorted(chosen), [p for p, names in matches.items() if not names]


def match_dataset_types(butler: Butler, patterns: Sequence[str]) -> list[DatasetType]:
    """Find dataset types.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    patterns : sequence of `str`
        Names and globs; none means all.

    Returns
    -------
    dataset_types : `list` [`DatasetType`]
        Sorted by name.

    Raises
    ------
    MissingDatasetTypeError
        Raised if a plain name is not registered.
    """
    present = {dataset_type.name: dataset_type for dataset_type in butler.registry.queryDatasetTypes()}
    chosen, unmatched = select(patterns, present)
    for pattern in unmatched:
        if not is_glob(pattern):
            raise MissingDatasetTypeError(f"no dataset type {pattern!r}", hint=known_names(pattern, present))
        say(f"no dataset type matches {pattern!r}")
    return [present[name] for name in chosen]


def one_dataset_type(butler: Butler, name: str) -> DatasetType:
    """Find the dataset type of a name.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    name : `str`
        Its name; no glob.

    Returns
    -------
    dataset_type : `DatasetType`
        The dataset type.

    Raises
    ------
    MissingDatasetTypeError
        Raised if it is not registered.
    """
    for dataset_type in match_dataset_types(butler, [name]):
        if dataset_type.name == name:
            return dataset_type
    raise MissingDatasetTypeError(f"no dataset type {name!r}", hint="give one name, not a glob")


def match_collections(butler: Butler, patterns: Sequence[str]) -> list[str]:
    """Find collections.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    patterns : sequence of `str`
        Names and globs; none means all.

    Returns
    -------
    names : `list` [`str`]
        Sorted.

    Raises
    ------
    MissingCollectionError
        Raised if a plain name does not exist.
    """
    present = list(butler.collections.query("*"))
    chosen, unmatched = select(patterns, present)
    for pattern in unmatched:
        if not is_glob(pattern):
            raise MissingCollectionError(f"no collection {pattern!r}", hint=known_names(pattern, present))
        say(f"no collection matches {pattern!r}")
    return chosen
