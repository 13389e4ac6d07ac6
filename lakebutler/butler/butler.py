# SPDX-License-Identifier: BSD-3-Clause
"""`Butler`: ask for a dataset by what it is, and get the object, wherever the file is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Self

from lakebutler.butler.base import Defaults
from lakebutler.butler.collections_api import ButlerCollections
from lakebutler.butler.querying import QueryingButler
from lakebutler.butler.reading import ReadingButler
from lakebutler.butler.registry_api import ButlerRegistry
from lakebutler.butler.repository import make_repository, open_repository
from lakebutler.butler.writing import WritingButler
from lakebutler.collections.collection import CollectionType
from lakebutler.errors import DimensionNameError, ReadOnlyButlerError, known_names
from lakebutler.lake.entry import Entry
from lakebutler.registry.registry import Registry
from lakebutler.registry.session import Session

__all__ = ["Butler"]


class Butler(ReadingButler, WritingButler, QueryingButler):
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

    def __init__(self, config: str | os.PathLike[str], **kwargs: Any) -> None:
        other = type(self).from_config(config, **kwargs)
        self.__dict__.update(other.__dict__)

    @classmethod
    def makeRepo(
        cls,
        root: str | os.PathLike[str],
        config: Mapping[str, Any] | None = None,
        dimensionConfig: Mapping[str, Any] | None = None,
        *,
        storage_options: Mapping[str, Any] | None = None,
    ) -> str:
        """Make an empty repository.

        Parameters
        ----------
        root : `str` or path-like
            A directory (made if need be) or a URL prefix such as
            ``s3://bucket/repo``.
        config : mapping, optional
            What goes into its ``butler.yaml``.
        dimensionConfig : mapping, optional
            Another universe of dimensions than the default.
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
        return make_repository(
            root, config=config, dimension_config=dimensionConfig, storage_options=storage_options
        )

    @classmethod
    def from_config(
        cls,
        config: str | os.PathLike[str],
        *,
        collections: str | Sequence[str] | None = None,
        run: str | None = None,
        writeable: bool | None = None,
        inferDefaults: bool = True,
        as_of: int | str | datetime | None = None,
        storage_options: Mapping[str, Any] | None = None,
        allow_external: bool | Sequence[str] = (),
        trust: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Open a repository.

        Parameters
        ----------
        config : `str` or path-like
            Where it is: a directory, its ``butler.yaml``, or a URL prefix.
        collections : `str` or sequence of `str`, optional
            Collections to search by default, in order; ``run`` if not given.
        run : `str`, optional
            Run that `put` writes to by default; registered if need be.
        writeable : `bool`, optional
            Whether the repository may be changed; true if ``run`` is given,
            false otherwise.
        inferDefaults : `bool`, optional
            Whether the only instrument (or skymap) in the default collections is
            the default value of that dimension.
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
        MissingCollectionError
            Raised if a default collection does not exist.
        """
        if writeable is None:
            writeable = run is not None and as_of is None
        if run is not None and not writeable and as_of is None:
            raise ReadOnlyButlerError(
                f"run {run!r} is given for a butler that is opened read-only",
                hint="leave out writeable=False",
            )
        repository = open_repository(
            config,
            writeable=writeable,
            as_of=as_of,
            storage_options=storage_options,
            allow_external=allow_external,
            trust=trust,
        )
        registry = Registry(repository.session, repository.universe)
        names = [collections] if isinstance(collections, str) else list(collections or ([run] if run else []))
        governors = repository.universe.governor_dimensions.names
        for name in kwargs:
            if name not in governors:
                raise DimensionNameError(
                    f"{name!r} is no argument of Butler and no governor dimension",
                    hint=known_names(name, governors, what="governor dimensions"),
                )
        if run is not None and writeable:
            registry.register_collection(run, CollectionType.RUN)
        registry.search_path(names)  # names one that does not exist
        butler = object.__new__(cls)
        defaults = Defaults(names, run, kwargs, infer=inferDefaults)
        super(Butler, butler).__init__(repository, registry, defaults)
        return butler

    def clone(
        self,
        *,
        collections: str | Sequence[str] | None = None,
        run: str | None = None,
        inferDefaults: bool | None = None,
        dataId: Mapping[str, Any] | None = None,
    ) -> Self:
        """Make a butler on the same repository with other defaults.

        Parameters
        ----------
        collections : `str` or sequence of `str`, optional
            Collections to search by default; the run if only that is given, else
            those of this butler.
        run : `str`, optional
            Run to write to by default; that of this butler if not given.
        inferDefaults : `bool`, optional
            As for `from_config`; as for this butler if not given.
        dataId : mapping, optional
            Default values of governors; those of this butler if not given.

        Returns
        -------
        butler : `Butler`
            Independent of this one: it has its own transactions.
        """
        old = self._defaults
        names = [collections] if isinstance(collections, str) else collections
        if names is None:
            names = [run] if run is not None else old.collections
        session = Session(
            self._repository.lake, writeable=self._session.writeable, pinned=self._session.pinned
        )
        registry = Registry(session, self.dimensions)
        if run is not None and session.writeable:
            registry.register_collection(run, CollectionType.RUN)
        registry.search_path(names)
        defaults = Defaults(
            names,
            run if run is not None else old.run,
            old.data_id if dataId is None else dataId,
            infer=old.infer if inferDefaults is None else inferDefaults,
        )
        butler = object.__new__(type(self))
        super(Butler, butler).__init__(self._repository.with_session(session), registry, defaults)
        return butler

    @property
    def collections(self) -> ButlerCollections:
        """Collections: what there is, and edits of them."""
        return ButlerCollections(self._registry, self._defaults.collections)

    @cached_property
    def registry(self) -> ButlerRegistry:
        """The registry, by the field's method names."""
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
        return self._repository.lake.history(limit)

    def close(self) -> None:
        """Let go of what the butler holds; it cannot be used afterwards."""
        self._repository.lake.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        names = list(self._defaults.collections)
        mode = "writeable" if self.isWriteable() else "read-only"
        return (
            f"Butler({self.root!r}, collections={names!r}, run={self.run!r}, {mode}, version={self.version})"
        )

    def _repr_html_(self) -> str:
        import html

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
