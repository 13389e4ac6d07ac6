# SPDX-License-Identifier: BSD-3-Clause
"""Where a repository of the field has its registry and its files.

Its ``butler.yaml`` is read with the safe loader; of what it says only addresses are used,
and no class that it names is looked up.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakebutler.config import normalise_root, place_text
from lakebutler.errors import NotARepositoryError, RepositoryFormatError

__all__ = ["Gen3Place", "find_gen3"]

_ROOT = "<butlerRoot>"
_RECORDS = "file_datastore_records"
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Gen3Place:
    """Where a repository of the field is.

    Attributes
    ----------
    name : `str`
        How to call it in messages.
    database : `str`
        Path of an SQLite file, or ``postgresql://`` URL.
    namespace : `str` or `None`
        Schema of a PostgreSQL database.
    datastores : `tuple` [`tuple` [`str`, `str`]]
        Root of the files and name of the table of their records, of each datastore.
    """

    name: str
    database: str
    namespace: str | None
    datastores: tuple[tuple[str, str], ...]

    @property
    def is_sqlite(self) -> bool:
        """Whether the registry is an SQLite file."""
        return "://" not in self.database


def find_gen3(source: str | os.PathLike[str], *, root: str | None = None) -> Gen3Place:
    """Find the parts of a repository of the field.

    Parameters
    ----------
    source : `str` or path-like
        Its directory, its ``butler.yaml``, its SQLite file, or the URL of its database.
    root : `str`, optional
        Where its files are, if the configuration does not say or is not given.

    Returns
    -------
    place : `Gen3Place`
        The parts.

    Raises
    ------
    NotARepositoryError
        Raised if there is none at this place.
    RepositoryFormatError
        Raised if its configuration makes no sense.
    """
    text = str(os.fspath(place_text(source)))
    if text.startswith(("postgresql://", "postgresql+psycopg2://")):
        if root is None:
            raise NotARepositoryError(
                f"{_without_password(text)} is a database: where the files are is not known",
                hint="give the directory of the files, too",
            )
        return Gen3Place(_without_password(text), _plain(text), None, ((normalise_root(root), _RECORDS),))
    place = normalise_root(text)
    if "://" in place:
        raise NotARepositoryError(f"{place}: a repository of the field is read from a local directory")
    if os.path.isfile(place) and not place.endswith((".yaml", ".yml")):
        files = normalise_root(root) if root is not None else os.path.dirname(place)
        return Gen3Place(place, place, None, ((files, _RECORDS),))
    config = place if os.path.isfile(place) else os.path.join(place, "butler.yaml")
    return _configured(config, root)


def _configured(config: str, root: str | None) -> Gen3Place:
    found = _read(config)
    base = os.path.dirname(config)
    given = found.get("root")
    home = normalise_root(str(given).replace(_ROOT, base)) if given else base
    registry = _section(found, "registry", config)
    database = str(registry.get("db", f"sqlite:///{_ROOT}/gen3.sqlite3")).replace(_ROOT, home)
    namespace = registry.get("namespace")
    if database.startswith("sqlite:///"):
        database = database.removeprefix("sqlite:///")
        database = database if database.startswith("/") else f"{home}/{database}"
        if not os.path.isfile(database):
            raise NotARepositoryError(f"{config} names the registry {database}, which is not there")
    elif database.startswith("postgresql"):
        database = _plain(database)
    else:
        raise RepositoryFormatError(
            f"{config}: the registry {_without_password(database)!r} is of unknown kind"
        )
    stores = _datastores(_section(found, "datastore", config), home, config)
    if root is not None:
        stores = tuple((normalise_root(root), table) for _, table in stores[:1])
    return Gen3Place(base, database, None if namespace is None else str(namespace), stores)


def _read(config: str) -> Mapping[str, Any]:
    import yaml

    try:
        with open(config, "rb") as stream:
            data = stream.read(_MAX_BYTES)
    except OSError as error:
        raise NotARepositoryError(
            f"{config}: there is no repository of lsst.daf.butler here ({error.strerror})",
            hint="give the directory that has its butler.yaml",
        ) from None
    try:
        found = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RepositoryFormatError(f"{config} cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(found, dict):
        raise RepositoryFormatError(f"{config} is no configuration")
    if "registry" not in found and "datastore" not in found:
        raise NotARepositoryError(
            f"{config} is no configuration of a repository of lsst.daf.butler: it has no registry"
        )
    return found


def _section(found: Mapping[str, Any], name: str, config: str) -> Mapping[str, Any]:
    value = found.get(name) or {}
    if not isinstance(value, dict):
        raise RepositoryFormatError(f"{config}: {name!r} must be a mapping")
    return value


def _datastores(section: Mapping[str, Any], home: str, config: str) -> tuple[tuple[str, str], ...]:
    chained = section.get("datastores")
    if isinstance(chained, list):
        several = [
            _datastores(_section(one, "datastore", config), home, config)
            for one in chained
            if isinstance(one, dict)
        ]
        return tuple(store for stores in several for store in stores)
    if "InMemory" in str(section.get("cls", "")):
        return ()
    records = section.get("records")
    table = records.get("table", _RECORDS) if isinstance(records, dict) else _RECORDS
    place = str(section.get("root", _ROOT)).replace(_ROOT, home)
    return (
        (normalise_root(place if place.startswith("/") or "://" in place else f"{home}/{place}"), str(table)),
    )


def _plain(url: str) -> str:
    """URL without the name of a driver."""
    return "postgresql://" + url.partition("://")[2]


def _without_password(url: str) -> str:
    head, _, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    return f"{head}://{user.partition(':')[0]}{at}{host}"
