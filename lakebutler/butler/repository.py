# SPDX-License-Identifier: BSD-3-Clause
"""Make a repository, and open one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lakebutler.config import (
    CONFIG_NAME,
    ExternalTrust,
    has_repository,
    normalise_root,
    not_a_repository,
    parse_repo_config,
)
from lakebutler.datastore.datastore import Datastore
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import RepositoryExistsError, RepositoryFormatError
from lakebutler.lake.lake import Lake
from lakebutler.lake.storage import open_storage
from lakebutler.registry.session import Session
from lakebutler.registry.views import repository_views

__all__ = ["Repository", "make_repository", "open_repository"]

DIMENSIONS = "dimensions"
"""Name of the configuration value that holds the universe."""


@dataclass(frozen=True)
class Repository:
    """An open repository.

    Attributes
    ----------
    root : `str`
        Where it is.
    lake : `Lake`
        Its tables.
    session : `Session`
        Access to them.
    universe : `DimensionUniverse`
        Its dimensions.
    config : `dict`
        Its ``butler.yaml``.
    trust : `ExternalTrust`
        Where its datasets may lie outside.
    datastore : `Datastore`
        Its files.
    """

    root: str
    lake: Lake
    session: Session
    universe: DimensionUniverse
    config: Mapping[str, Any]
    trust: ExternalTrust
    datastore: Datastore

    def with_session(self, session: Session) -> Repository:
        """The same repository seen through another session.

        Parameters
        ----------
        session : `Session`
            On the same lake.

        Returns
        -------
        repository : `Repository`
            Shares everything else.
        """
        return replace(self, session=session)


def make_repository(
    root: str | os.PathLike[str],
    *,
    config: Mapping[str, Any] | None = None,
    dimension_config: Mapping[str, Any] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> str:
    """Make an empty repository.

    Parameters
    ----------
    root : `str` or path-like
        A directory (made if need be) or a URL prefix.
    config : mapping, optional
        What goes into its ``butler.yaml``.
    dimension_config : mapping, optional
        Another universe of dimensions than the default.
    storage_options : mapping, optional
        Options for fsspec.

    Returns
    -------
    root : `str`
        Where it is.

    Raises
    ------
    RepositoryExistsError
        Raised if there is one already.
    """
    import yaml

    place = normalise_root(root)
    if has_repository(place, storage_options):
        raise RepositoryExistsError(
            f"{place}: there is a lakebutler repository already", hint="open it, or choose another place"
        )
    universe = DimensionUniverse(dimension_config)
    text = yaml.safe_dump(dict(config), sort_keys=False) if config else ""
    parse_repo_config(text, CONFIG_NAME)
    storage = open_storage(place, storage_options=storage_options)
    if text:
        storage.write(CONFIG_NAME, text.encode())
    lake = Lake.create(storage, config={DIMENSIONS: universe.to_config()}, views=repository_views)
    lake.close()
    return place


def open_repository(
    root: str | os.PathLike[str],
    *,
    writeable: bool,
    as_of: int | str | datetime | None = None,
    storage_options: Mapping[str, Any] | None = None,
    allow_external: bool | Sequence[str] = (),
    trust: bool = False,
) -> Repository:
    """Open a repository.

    Parameters
    ----------
    root : `str` or path-like
        Where it is.
    writeable : `bool`
        Whether it may be changed.
    as_of : `int`, `str` or `datetime.datetime`, optional
        A version, tag or time to see it at.
    storage_options : mapping, optional
        Options for fsspec.
    allow_external : `bool` or sequence of `str`, optional
        Directories and URL prefixes outside the repository from which its
        datasets may be read; true for anywhere.
    trust : `bool`, optional
        Whether files whose reading can run code (pickles) may be read.

    Returns
    -------
    repository : `Repository`
        Open.

    Raises
    ------
    NotARepositoryError
        Raised if there is none at this place.
    RepositoryFormatError
        Raised if it is of a newer format.
    """
    place = normalise_root(root)
    if not has_repository(place, storage_options):
        raise not_a_repository(place)
    storage = open_storage(place, storage_options=storage_options)
    lake = Lake.open(storage, views=repository_views)
    snapshot = lake.as_of(as_of) if as_of is not None else None
    session = Session(lake, writeable=writeable, pinned=snapshot)
    stored = (snapshot or lake.snapshot()).state("config").get(DIMENSIONS)
    if stored is None:
        raise RepositoryFormatError(f"{place}: the repository does not say what its dimensions are")
    universe = DimensionUniverse(stored)
    try:
        config = parse_repo_config(storage.read(CONFIG_NAME), f"{place}/{CONFIG_NAME}")
    except FileNotFoundError:
        config = {}
    external = ExternalTrust(lake.repo_id)
    allowed: bool | Sequence[str] = True
    if not isinstance(allow_external, bool):
        allowed = (
            *([allow_external] if isinstance(allow_external, str) else allow_external),
            *external.prefixes(),
        )
    elif not allow_external:
        allowed = external.prefixes()
    datastore = Datastore(
        place,
        storage_options=storage_options,
        config=config.get("datastore"),
        allow_external=allowed,
        trust=trust,
    )
    return Repository(place, lake, session, universe, config, external, datastore)
