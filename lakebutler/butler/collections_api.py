# SPDX-License-Identifier: BSD-3-Clause
"""``butler.collections``: what collections there are, and edits of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import EllipsisType
from typing import overload

from lakebutler.collections.collection import CollectionInfo, CollectionType
from lakebutler.registry import collections
from lakebutler.registry.registry import Registry

__all__ = ["ButlerCollections"]

CollectionExpression = str | re.Pattern[str] | Iterable[str | re.Pattern[str]] | EllipsisType


class ButlerCollections(Sequence[str]):
    """Collections of a repository; as a sequence, the default collections.

    Parameters
    ----------
    registry : `Registry`
        The repository's registry.
    defaults : sequence of `str`
        Default collections of the butler.
    """

    def __init__(self, registry: Registry, defaults: Sequence[str]) -> None:
        self._registry = registry
        self._defaults = tuple(defaults)

    @property
    def defaults(self) -> Sequence[str]:
        """Collections that are searched where none are given, in order."""
        return self._defaults

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._defaults[index]

    def __len__(self) -> int:
        return len(self._defaults)

    def __iter__(self) -> Iterator[str]:
        return iter(self._defaults)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ButlerCollections):
            return self._defaults == other._defaults
        return self._defaults == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._defaults)

    def __str__(self) -> str:
        return str(self._defaults)

    def __repr__(self) -> str:
        return f"ButlerCollections(defaults={self._defaults!r})"

    def query(
        self,
        expression: CollectionExpression,
        collection_types: Iterable[CollectionType] | CollectionType | None = None,
        flatten_chains: bool = False,
        include_chains: bool | None = None,
    ) -> Sequence[str]:
        """Find collections by name or pattern.

        Parameters
        ----------
        expression : `str`, `re.Pattern`, iterable of these, or ``...``
            Names, globs, and regular expressions that match the whole name.
        collection_types : `CollectionType` or iterable of them, optional
            Which types; all by default.
        flatten_chains : `bool`, optional
            Whether to return the members of chains too.
        include_chains : `bool`, optional
            Whether to return chains; by default, unless they are flattened.

        Returns
        -------
        names : sequence of `str`
            The collections.

        Raises
        ------
        MissingCollectionError
            Raised if a name without wildcard does not exist.
        """
        kinds = [collection_types] if isinstance(collection_types, CollectionType) else collection_types
        return collections.query_collections(
            self._registry.snapshot,
            expression,
            collection_types=kinds,
            flatten_chains=flatten_chains,
            include_chains=include_chains,
        )

    def query_info(
        self,
        expression: CollectionExpression,
        collection_types: Iterable[CollectionType] | CollectionType | None = None,
        flatten_chains: bool = False,
        include_chains: bool | None = None,
        include_parents: bool = False,
        include_summary: bool = False,
        include_doc: bool = True,
        summary_datasets: Iterable[str] | None = None,
    ) -> Sequence[CollectionInfo]:
        """Describe collections; arguments as for `query`.

        Parameters
        ----------
        expression, collection_types, flatten_chains, include_chains
            As for `query`.
        include_parents : `bool`, optional
            Whether to look up the chains that hold each.
        include_summary : `bool`, optional
            Whether to find the dataset types in each.
        include_doc : `bool`, optional
            Accepted as the field's interface has it; documentation is always there.
        summary_datasets : iterable of `str`, optional
            Only these dataset types in the summary.

        Returns
        -------
        infos : sequence of `CollectionInfo`
            The descriptions.
        """
        del include_doc
        names = self.query(expression, collection_types, flatten_chains, include_chains)
        infos = self._registry.collection_infos(names, parents=include_parents, summary=include_summary)
        if summary_datasets is not None:
            wanted = frozenset(summary_datasets)
            infos = [
                info
                if info.dataset_types is None
                else replace(info, dataset_types=info.dataset_types & wanted)
                for info in infos
            ]
        return infos

    def get_info(
        self, name: str, include_parents: bool = False, include_summary: bool = False
    ) -> CollectionInfo:
        """Describe a collection.

        Parameters
        ----------
        name : `str`
            Its name.
        include_parents : `bool`, optional
            Whether to look up the chains that hold it.
        include_summary : `bool`, optional
            Whether to find the dataset types in it.

        Returns
        -------
        info : `CollectionInfo`
            The description.

        Raises
        ------
        MissingCollectionError
            Raised if there is none of this name.
        """
        return self._registry.collection_info(name, parents=include_parents, summary=include_summary)

    def register(self, name: str, type: CollectionType = CollectionType.RUN, doc: str | None = None) -> bool:
        """Register a collection.

        Parameters
        ----------
        name : `str`
            Its name.
        type : `CollectionType`, optional
            Its type.
        doc : `str`, optional
            What it is for.

        Returns
        -------
        registered : `bool`
            False if it is there already.

        Raises
        ------
        ConflictingDefinitionError
            Raised if the name is taken by a collection of another type.
        """
        return self._registry.register_collection(name, type, doc)

    def prepend_chain(self, parent_collection_name: str, child_collection_names: str | Iterable[str]) -> None:
        """Put collections in front of a chain; those in it move there.

        Parameters
        ----------
        parent_collection_name : `str`
            The chain.
        child_collection_names : `str` or iterable of `str`
            The collections.
        """
        self._registry.edit_chain(parent_collection_name, "prepend", _names(child_collection_names))

    def extend_chain(self, parent_collection_name: str, child_collection_names: str | Iterable[str]) -> None:
        """Put collections at the end of a chain; those in it move there.

        Parameters
        ----------
        parent_collection_name : `str`
            The chain.
        child_collection_names : `str` or iterable of `str`
            The collections.
        """
        self._registry.edit_chain(parent_collection_name, "extend", _names(child_collection_names))

    def redefine_chain(
        self, parent_collection_name: str, child_collection_names: str | Iterable[str]
    ) -> None:
        """Give a chain other members.

        Parameters
        ----------
        parent_collection_name : `str`
            The chain.
        child_collection_names : `str` or iterable of `str`
            The collections, in order.
        """
        self._registry.edit_chain(parent_collection_name, "redefine", _names(child_collection_names))

    def remove_from_chain(
        self, parent_collection_name: str, child_collection_names: str | Iterable[str]
    ) -> None:
        """Take collections out of a chain.

        Parameters
        ----------
        parent_collection_name : `str`
            The chain.
        child_collection_names : `str` or iterable of `str`
            The collections; those that are not in it are passed over.

        Raises
        ------
        MissingCollectionError
            Raised if one is not there at all; the chain stays as it is.
        """
        self._registry.edit_chain(parent_collection_name, "remove", _names(child_collection_names))

    def x_remove(self, name: str) -> None:
        """Remove a collection; a RUN must not hold datasets.

        Parameters
        ----------
        name : `str`
            The collection.

        Raises
        ------
        MissingCollectionError
            Raised if there is none of this name.
        OrphanedRecordError
            Raised if it is in a chain, or a RUN that holds datasets.
        """
        self._registry.remove_collection(name)


def _names(names: str | Iterable[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)
