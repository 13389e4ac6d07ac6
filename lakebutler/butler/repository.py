# SPDX-License-Identifier: BSD-3-Clause
"""Make a repository, and open one."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, cast

from lakebutler.config import (
    CONFIG_NAME,
    ExternalTrust,
    has_repository,
    names_lake_file,
    normalise_root,
    not_a_repository,
    parse_repo_config,
)
from lakebutler.datastore.datastore import Datastore
from lakebutler.datastore.files import Files
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.errors import (
    NotARepositoryError,
    ReadOnlyButlerError,
    RepositoryError,
    RepositoryExistsError,
    RepositoryFormatError,
    StorageError,
)
from lakebutler.lake.lake import Lake
from lakebutler.lake.log import has_versions
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.storage import Storage, open_storage
from lakebutler.registry.schema import check_tables
from lakebutler.registry.session import Session
from lakebutler.registry.views import repository_views

if TYPE_CHECKING:
    from lsst.resources import ResourcePath

__all__ = ["Opening", "Repository", "Users", "make_repository", "open_repository"]

DIMENSIONS = "dimensions"
"""Name of the configuration value that holds the universe."""


@dataclass(frozen=True)
class Opening:
    """How a repository was opened; enough to open it again in another process.

    Attributes
    ----------
    writeable : `bool`
        Whether it may be changed.
    as_of : `int` or `None`
        The version that is seen, if not the newest.
    storage_options : mapping
        Options for fsspec.
    allow_external : `bool` or sequence of `str`
        Where its datasets may lie outside.
    trust : `bool`
        Whether files whose reading can run code may be read.
    without_datastore : `bool`
        Only its registry was opened.
    """

    writeable: bool
    as_of: int | None
    storage_options: Mapping[str, Any] | None
    allow_external: bool | Sequence[str]
    trust: bool
    without_datastore: bool


class _NoDatastore:
    """Stands where the datastore of a butler would be that was opened without one."""

    def __init__(self, place: str) -> None:
        self._place = place

    def sync(self, paths: Iterable[str]) -> None:
        """Nothing was written."""

    def finish(self, moves: Iterable[str]) -> None:
        """Nothing was moved."""

    def rollback(self, paths: Iterable[str]) -> None:
        """Files of what was removed stay, for ``gc``."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise StorageError(
            f"{self._place} was opened without its datastore: only the registry can be used",
            hint="leave out without_datastore=True",
        )


class Users:
    """Counts the butlers that share an open lake."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 1

    def add(self) -> None:
        """One more uses it."""
        with self._lock:
            self._count += 1

    def leave(self) -> bool:
        """One less does; true if nobody is left."""
        with self._lock:
            self._count -= 1
            return self._count == 0


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
    opening : `Opening`
        How it was opened.
    users : `Users`
        The butlers that share the lake.
    """

    root: str
    lake: Lake
    session: Session
    universe: DimensionUniverse
    config: Mapping[str, Any]
    trust: ExternalTrust
    datastore: Datastore
    opening: Opening
    users: Users

    def again(self) -> Repository:
        """The same repository seen through a session of its own; shares everything else."""
        lake = self.session.lake
        assert lake.repo_id == self.lake.repo_id  # raises if this one is closed
        session = Session(lake, writeable=self.session.writeable, pinned=self.session.pinned)
        self.users.add()
        return replace(self, session=session)

    def close(self) -> None:
        """Let go of it; the last one to do so closes the lake."""
        if self.session.close() and self.users.leave():
            self.lake.close()


def make_repository(
    root: str | os.PathLike[str] | ResourcePath,
    *,
    config: Mapping[str, Any] | None = None,
    dimension_config: Mapping[str, Any] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> str:
    """Make an empty repository.

    Parameters
    ----------
    root : `str` or path-like or `lsst.resources.ResourcePath`
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
    from lakebutler.lake.container.lock import whole_file

    place = normalise_root(root)
    if has_repository(place, storage_options) and not _is_half_made(place, storage_options):
        raise RepositoryExistsError(
            f"{place}: there is a lakebutler repository already", hint="open it, or choose another place"
        )
    _refuse_what_is_there(place)
    universe = DimensionUniverse(dimension_config)
    text = _config_text(config) if config else ""
    Datastore("/", config=parse_repo_config(text, CONFIG_NAME).get("datastore"))  # checks the settings
    with whole_file(place) as there:
        storage = open_storage(there, storage_options=storage_options)
        _create_config(storage, text.encode(), place)
        lake = Lake.create(storage, config={DIMENSIONS: universe.to_config()}, views=repository_views)
        lake.close()
    return place


def _is_half_made(place: str, options: Mapping[str, Any] | None) -> bool:
    """Whether making it was broken off before its first version; then it can be made again."""
    if names_lake_file(place) and not os.path.isdir(place):
        return False
    storage = open_storage(place, storage_options=options)
    try:
        return not has_versions(storage)
    except RepositoryError:
        return False


def _refuse_what_is_there(place: str) -> None:
    if "://" in place:
        return
    if os.path.lexists(place) and not os.path.isdir(place):
        raise StorageError(
            f"{place}: this is no directory", hint="choose a directory, or one that is to be made"
        )
    if os.path.exists(os.path.join(place, "gen3.sqlite3")):
        raise RepositoryExistsError(
            f"{place}: there is a repository of lsst.daf.butler already", hint="choose an empty directory"
        )


def _create_config(storage: Storage, text: bytes, place: str) -> None:
    """Write ``butler.yaml`` first: a repository that can be opened has it."""
    try:
        if text:
            storage.create(CONFIG_NAME, text)
            return
        found = storage.read(CONFIG_NAME)
    except FileNotFoundError:
        return
    except FileExistsError:
        found = storage.read(CONFIG_NAME)  # from a making that was broken off, or from somebody else
    if found != text:
        raise RepositoryExistsError(
            f"{place}: there is a {CONFIG_NAME} already", hint="choose an empty place, or remove the file"
        )


def _config_text(config: Mapping[str, Any]) -> str:
    """Write settings as JSON, which is YAML as well, where JSON can hold them."""
    try:
        text = json.dumps(config, indent=2, allow_nan=False)
        if json.loads(text) == config:
            return text + "\n"
    except (TypeError, ValueError):
        pass
    import yaml

    return yaml.safe_dump(dict(config), sort_keys=False)


def open_repository(
    root: str | os.PathLike[str] | ResourcePath,
    *,
    writeable: bool,
    as_of: int | str | datetime | None = None,
    storage_options: Mapping[str, Any] | None = None,
    allow_external: bool | Sequence[str] = (),
    trust: bool = False,
    without_datastore: bool = False,
) -> Repository:
    """Open a repository.

    Parameters
    ----------
    root : `str` or path-like or `lsst.resources.ResourcePath`
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
    without_datastore : `bool`, optional
        Whether only the registry is opened.

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
    far = "://" in place and names_lake_file(place)
    if far and writeable:
        raise ReadOnlyButlerError(
            f"{place} can only be read: a lake file is written to on a local disk", hint="copy the file here"
        )
    if "://" not in place and not has_repository(place, storage_options):
        raise not_a_repository(place)
    storage = open_storage(place, storage_options=storage_options)
    try:
        lake = Lake.open(storage, views=repository_views)
    except NotARepositoryError:
        if far:
            raise
        raise not_a_repository(place) from None
    try:
        snapshot = lake.as_of(as_of) if as_of is not None else None
        universe = _universe(snapshot or lake.snapshot(refresh=False), place)
        check_tables((snapshot or lake.snapshot(refresh=False)).schemas(), place)
        external = ExternalTrust(lake.repo_id)
        config = _read_config(storage, place)
        datastore = (
            _NoDatastore(place)
            if without_datastore
            else Datastore(
                place,
                storage_options=storage_options,
                config=config.get("datastore"),
                allow_external=_allowed(allow_external, external),
                trust=trust,
                files=_files_beside(storage),
            )
        )
    except BaseException:
        lake.close()
        raise
    session = Session(lake, writeable=writeable, pinned=snapshot)
    version = snapshot.version if snapshot is not None else None
    opening = Opening(writeable, version, storage_options, allow_external, trust, without_datastore)
    files = cast("Datastore", datastore)
    return Repository(place, lake, session, universe, config, external, files, opening, Users())


def _universe(snapshot: Snapshot, place: str) -> DimensionUniverse:
    stored = snapshot.state("config").get(DIMENSIONS)
    if stored is None:
        raise RepositoryFormatError(f"{place}: the repository does not say what its dimensions are")
    return DimensionUniverse(stored)


def _read_config(storage: Storage, place: str) -> dict[str, Any]:
    try:
        return parse_repo_config(storage.read(CONFIG_NAME), f"{place}/{CONFIG_NAME}")
    except FileNotFoundError:
        return {}


def _allowed(given: bool | Sequence[str], external: ExternalTrust) -> bool | Sequence[str]:
    """Where datasets may lie outside: what the caller says, and what the user has said before."""
    if given is True:
        return True
    more = () if given is False else (given,) if isinstance(given, str) else tuple(given)
    return (*more, *external.prefixes())


def _files_beside(storage: Storage) -> Files | None:
    """The files that lie in the same lake file as the registry, if it is one."""
    if not hasattr(storage, "container"):
        return None
    from lakebutler.datastore.container_files import files_beside

    return files_beside(storage)
