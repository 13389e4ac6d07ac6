# SPDX-License-Identifier: BSD-3-Clause
"""`Butler`: ask for a dataset by what it is, and get the object, wherever the file is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from types import EllipsisType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from lakebutler.butler.base import attach_defaults
from lakebutler.butler.collections_api import ButlerCollections
from lakebutler.butler.defaults import RegistryDefaults
from lakebutler.butler.index import (
    ParsedButlerDatasetURI,
    find_label,
    known_labels,
    parse_dataset_uri,
    resolve_place,
)
from lakebutler.butler.metrics import ButlerMetrics
from lakebutler.butler.repository import Opening, Repository, make_repository, open_repository
from lakebutler.butler.verbs import ButlerVerbs
from lakebutler.config import has_repository
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.errors import ButlerUserError, ReadOnlyButlerError
from lakebutler.lake.entry import Entry
from lakebutler.registry.registry import Registry

if TYPE_CHECKING:
    from lsst.resources import ResourcePath

    from lakebutler.butler.registry_api import ButlerRegistry

__all__ = ["Butler", "SpecificButlerDataset"]


class SpecificButlerDataset(NamedTuple):
    """A dataset, and the butler of its repository.

    Attributes
    ----------
    butler : `Butler`
        Open on the repository.
    dataset : `DatasetRef` or `None`
        `None` if the repository does not know the ID.
    """

    butler: Butler
    dataset: DatasetRef | None


class Butler(ButlerVerbs):
    """A repository of datasets, open for reading or writing.

    Parameters
    ----------
    config : `str` or path-like
        Where the repository is.
    **kwargs
        As for `from_config`.

    Examples
    --------
    >>> from lakebutler import Butler
    >>> root = getfixture("tmp_path") / "repo"
    >>> Butler.makeRepo(root)  # doctest: +ELLIPSIS
    '...'
    >>> with Butler(root, run="u/me") as butler:
    ...     butler.collections.query("*")
    ['u/me']
    """

    GENERATION: ClassVar[int] = 3

    def __init__(
        self,
        config: str | os.PathLike[str] | ResourcePath,
        *,
        metrics: ButlerMetrics | None = None,
        **kwargs: Any,
    ) -> None:
        other = type(self).from_config(config, **kwargs)
        self.__dict__.update(other.__dict__)
        if metrics is not None:
            self._measure(metrics)

    @classmethod
    def makeRepo(
        cls,
        root: str | os.PathLike[str] | ResourcePath,
        config: Mapping[str, Any] | None = None,
        dimensionConfig: Mapping[str, Any] | None = None,
        standalone: bool = True,
        searchPaths: Sequence[str] | None = None,
        *,
        storage_options: Mapping[str, Any] | None = None,
    ) -> str:
        """Make an empty repository.

        Parameters
        ----------
        root : `str` or path-like or `lsst.resources.ResourcePath`
            A directory (made if need be) or a URL prefix such as
            ``s3://bucket/repo``.
        config : mapping, optional
            What goes into its ``butler.yaml``.
        dimensionConfig : mapping, optional
            Another universe of dimensions than the default.
        standalone, searchPaths : optional
            Accepted as the field's interface has them: a repository always carries all
            it needs, and no settings are searched for elsewhere.
        storage_options : mapping, optional
            Options for fsspec where the root is a URL.

        Returns
        -------
        root : `str`
            Where it is; pass it to `Butler`.

        Raises
        ------
        RepositoryExistsError
            Raised if there is one already.
        """
        del standalone, searchPaths
        return make_repository(
            root, config=config, dimension_config=dimensionConfig, storage_options=storage_options
        )

    @classmethod
    def has_repo_config(
        cls,
        root: str | os.PathLike[str] | ResourcePath,
        storage_options: Mapping[str, Any] | None = None,
    ) -> bool:
        """Whether there is a repository at a place."""
        return has_repository(root, storage_options)

    @classmethod
    def get_known_repos(cls) -> set[str]:
        """Labels of the user's index of repositories.

        Returns
        -------
        labels : `set` [`str`]
            From the YAML mapping in the file (or at the URL) that the environment
            variable ``DAF_BUTLER_REPOSITORY_INDEX`` names, or in the variable
            ``DAF_BUTLER_REPOSITORIES``; empty if there is neither, or it cannot be read.
        """
        return set(known_labels())

    @classmethod
    def get_repo_uri(cls, label: str, return_label: bool = False) -> ResourcePath:
        """Look a repository up in the user's index.

        Parameters
        ----------
        label : `str`
            Its label.
        return_label : `bool`, optional
            Whether an unknown label is taken for a place; otherwise it is an error.

        Returns
        -------
        uri : `lsst.resources.ResourcePath`
            Where it is.

        Raises
        ------
        UnknownRepositoryError
            Raised if there is no such label; it is a `KeyError`.
        """
        from lsst.resources import ResourcePath

        place = known_labels().get(label, label) if return_label else find_label(label)
        return ResourcePath(place, forceAbsolute=False)

    @classmethod
    def parse_dataset_uri(cls, uri: str) -> ParsedButlerDatasetURI:
        """Take the address of a dataset apart; see `lakebutler.butler.index.parse_dataset_uri`."""
        return parse_dataset_uri(uri)

    @classmethod
    def get_dataset_from_uri(
        cls, uri: str, factory: Callable[[str], Butler] | None = None
    ) -> SpecificButlerDataset:
        """Find the dataset of an address.

        Parameters
        ----------
        uri : `str`
            ``ivo://authority/path?repo=LABEL&id=UUID`` or ``butler://LABEL/UUID``.
        factory : callable, optional
            Opens a repository by its label; `from_config` by default.

        Returns
        -------
        found : `SpecificButlerDataset`
            The butler, and the dataset; `None` in its place if the repository does
            not know it.
        """
        parsed = parse_dataset_uri(uri)
        butler = factory(parsed.label) if factory is not None else cls.from_config(parsed.label)
        return SpecificButlerDataset(butler, butler.get_dataset(parsed.dataset_id))

    @classmethod
    def from_config(
        cls,
        config: str | os.PathLike[str] | ResourcePath,
        *,
        collections: str | Sequence[str] | None = None,
        run: str | None = None,
        searchPaths: Sequence[str] | None = None,
        writeable: bool | None = None,
        inferDefaults: bool = True,
        without_datastore: bool = False,
        metrics: ButlerMetrics | None = None,
        as_of: int | str | datetime | None = None,
        storage_options: Mapping[str, Any] | None = None,
        allow_external: bool | Sequence[str] = (),
        trust: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Open a repository.

        Parameters
        ----------
        config : `str` or path-like or `lsst.resources.ResourcePath`
            Where it is: a directory, its ``butler.yaml``, a URL prefix, or a label in
            the index of repositories (see `get_known_repos`).
        collections : `str` or sequence of `str`, optional
            Collections to search by default, in order; ``run`` if not given.  One that
            does not exist yet is an error only when it is searched.
        run : `str`, optional
            Run that `put` writes to by default; registered if need be.
        searchPaths : sequence of `str`, optional
            Accepted as the field's interface has it: the settings of a repository
            are in its own ``butler.yaml`` and nowhere else.
        writeable : `bool`, optional
            Whether the repository may be changed; true if ``run`` is given,
            false otherwise.
        inferDefaults : `bool`, optional
            Whether the only instrument (or skymap) in the default collections is
            the default value of that dimension.
        without_datastore : `bool`, optional
            Whether only the registry is opened: what needs a file raises
            `StorageError`.
        metrics : `ButlerMetrics`, optional
            Counts and times what the butler reads and writes; see `record_metrics`.
        as_of : `int`, `str` or `datetime.datetime`, optional
            A version, tag or time to see the repository at, read-only.
        storage_options : mapping, optional
            Options for fsspec where the root is a URL.
        allow_external : `bool` or sequence of `str`, optional
            Directories and URL prefixes outside the repository from which its
            datasets may be read, besides those this user ingested from; true
            for anywhere.
        trust : `bool`, optional
            Whether files whose reading can run code (pickles) may be read.
        **kwargs
            Default values of governor dimensions, such as ``instrument``.

        Returns
        -------
        butler : `Butler`
            Open.

        Raises
        ------
        NotARepositoryError
            Raised if there is no repository at this place.
        RepositoryFormatError
            Raised if it is of a newer format.
        CollectionExpressionError
            Raised if a default collection is not given by name.
        """
        del searchPaths
        if writeable is None:
            writeable = run is not None and as_of is None
        if run is not None and not writeable and as_of is None:
            raise ReadOnlyButlerError(
                f"run {run!r} is given for a butler that is opened read-only",
                hint="leave out writeable=False",
            )
        repository = open_repository(
            resolve_place(config),
            writeable=writeable,
            as_of=as_of,
            storage_options=storage_options,
            allow_external=allow_external,
            trust=trust,
            without_datastore=without_datastore,
        )
        try:
            return cls._on(repository, RegistryDefaults(collections, run, inferDefaults, **kwargs), metrics)
        except BaseException:
            repository.close()
            raise

    @classmethod
    def _on(
        cls, repository: Repository, defaults: RegistryDefaults, metrics: ButlerMetrics | None = None
    ) -> Self:
        """Make a butler on an open repository; registers its run if need be."""
        registry = Registry(repository.session, repository.universe)
        butler = object.__new__(cls)
        with repository.session.held(refresh=False):
            attached = attach_defaults(registry, defaults)
        super(Butler, butler).__init__(repository, registry, attached)
        if metrics is not None:
            butler._measure(metrics)
        return butler

    def __reduce__(self) -> tuple[Any, ...]:
        return _open_again, (type(self), self.root, self._repository.opening, self._defaults.arguments())

    def clone(
        self,
        *,
        collections: str | Sequence[str] | EllipsisType | None = ...,
        run: str | EllipsisType | None = ...,
        inferDefaults: bool | EllipsisType = ...,
        dataId: Mapping[str, Any] | EllipsisType = ...,
        metrics: ButlerMetrics | None = None,
    ) -> Self:
        """Make a butler on the same repository with other defaults.

        Parameters
        ----------
        collections : `str` or sequence of `str`, optional
            Collections to search by default.  Those of this butler if left out;
            if they only followed its run, they follow the new one.
        run : `str`, optional
            Run to write to by default; that of this butler if left out.
        inferDefaults : `bool`, optional
            As for `from_config`; as for this butler if left out.
        dataId : mapping, optional
            Default values of governors; those of this butler if left out.
        metrics : `ButlerMetrics`, optional
            Counts and times what the new butler reads and writes.

        Returns
        -------
        butler : `Butler`
            Independent of this one: it has its own transactions.
        """
        defaults = self.defaults.clone(collections, run, inferDefaults, dataId)
        repository = self._repository.again()
        try:
            return self._on(repository, defaults, metrics)
        except BaseException:
            repository.close()
            raise

    @property
    def collections(self) -> ButlerCollections:
        """Collections: what there is, and edits of them."""
        return ButlerCollections(self._registry, self._defaults.collections)

    @property
    def collection_chains(self) -> ButlerCollections:
        """The same as `collections`, by its former name."""
        return self.collections

    def markInputUnused(self, ref: DatasetRef) -> None:
        """Say that an input was not used; nothing keeps account of that here."""

    @cached_property
    def registry(self) -> ButlerRegistry:
        """The registry, by the field's method names."""
        from lakebutler.butler.registry_api import ButlerRegistry

        return ButlerRegistry(self)

    @property
    def root(self) -> str:
        """Where the repository is."""
        return self._repository.root

    @property
    def version(self) -> int:
        """Version of the repository that reads see now."""
        return self._session.snapshot.version

    def history(self, limit: int | None = None) -> Iterator[Entry]:
        """Commits of the repository, newest first.

        Parameters
        ----------
        limit : `int`, optional
            How many at most.

        Yields
        ------
        entry : `Entry`
            Version, time, who, which verb, and message.
        """
        return self._session.lake.history(limit)

    def close(self) -> None:
        """Let go of what the butler holds; it cannot be used afterwards."""
        if self._session.in_transaction:
            raise ButlerUserError(
                "cannot close the butler inside a transaction", hint="leave the transaction first"
            )
        self._repository.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._session.closed:
            return f"Butler({self.root!r}, closed)"
        names = list(self._defaults.collections)
        mode = "writeable" if self.isWriteable() else "read-only"
        return (
            f"Butler({self.root!r}, collections={names!r}, run={self.run!r}, {mode}, version={self.version})"
        )

    def _repr_html_(self) -> str:
        import html

        if self._session.closed:
            return html.escape(repr(self))
        snapshot = self._session.snapshot
        rows = {
            "repository": self.root,
            "version": f"{snapshot.version} ({snapshot.time:%Y-%m-%d %H:%M:%S} UTC)",
            "default collections": ", ".join(self._defaults.collections) or "none",
            "run": self.run or "none",
            "collections": str(len(snapshot.state("collection"))),
            "dataset types": ", ".join(sorted(snapshot.state("dataset_type"))) or "none",
        }
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>"
            for k, v in rows.items()
        )
        return f"<table>{cells}</table>"


def _open_again(cls: type[Butler], root: str, opening: Opening, defaults: Mapping[str, Any]) -> Butler:
    """Open what was pickled in another process."""
    return cls.from_config(
        root,
        writeable=opening.writeable,
        as_of=opening.as_of,
        storage_options=opening.storage_options,
        allow_external=opening.allow_external,
        trust=opening.trust,
        without_datastore=opening.without_datastore,
        **defaults,
    )
