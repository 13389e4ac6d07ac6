# SPDX-License-Identifier: BSD-3-Clause
"""Repositories by name, and the addresses of datasets in them.

The index of repositories is the user's own: a YAML mapping of labels to places, in the
file or at the URL that ``DAF_BUTLER_REPOSITORY_INDEX`` names, or in the variable
``DAF_BUTLER_REPOSITORIES`` itself.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

from lakebutler.config import has_repository
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.errors import DataIdValueError, NotARepositoryError, RepositoryFormatError, known_names

if TYPE_CHECKING:
    from lsst.resources import ResourcePath

__all__ = [
    "INDEX_VARIABLE",
    "REPOSITORIES_VARIABLE",
    "ParsedButlerDatasetURI",
    "UnknownRepositoryError",
    "dataset_uri",
    "find_label",
    "known_labels",
    "parse_dataset_uri",
    "read_index",
    "resolve_place",
]

INDEX_VARIABLE = "DAF_BUTLER_REPOSITORY_INDEX"
"""Environment variable that names the file of the index."""

REPOSITORIES_VARIABLE = "DAF_BUTLER_REPOSITORIES"
"""Environment variable that holds an index itself."""


class UnknownRepositoryError(NotARepositoryError, KeyError):
    """The index of repositories has no such label."""

    kind = "unknown_repository"


class ParsedButlerDatasetURI(NamedTuple):
    """What the address of a dataset says.

    Attributes
    ----------
    label : `str`
        Label or place of the repository.
    dataset_id : `uuid.UUID`
        The dataset's ID.
    uri : `str`
        The address itself.
    """

    label: str
    dataset_id: uuid.UUID
    uri: str


def read_index() -> dict[str, str]:
    """Read the index of repositories.

    Returns
    -------
    index : `dict` [`str`, `str`]
        Places by label; empty if there is no index.

    Raises
    ------
    RepositoryFormatError
        Raised if the index cannot be read.
    """
    import yaml

    place = os.environ.get(INDEX_VARIABLE)
    inline = os.environ.get(REPOSITORIES_VARIABLE)
    if place and inline:
        raise RepositoryFormatError(
            f"both {INDEX_VARIABLE} and {REPOSITORIES_VARIABLE} are set", hint="unset one of them"
        )
    if not place and not inline:
        return {}
    where = place or REPOSITORIES_VARIABLE
    try:
        loaded = yaml.safe_load(_text(place) if place else inline or "")
    except Exception as exc:  # noqa: BLE001  each filesystem of fsspec has errors of its own
        line = " ".join(str(exc).split())[:200] or type(exc).__name__
        raise RepositoryFormatError(f"cannot read the index of repositories {where}: {line}") from None
    if not isinstance(loaded, dict) or not all(isinstance(value, str) for value in loaded.values()):
        raise RepositoryFormatError(
            f"the index of repositories {where} is no mapping of labels to places",
            hint="one line for each: label: /path/of/repo",
        )
    return {str(label): value for label, value in loaded.items()}


def _text(place: str) -> bytes:
    if "://" in place and not place.startswith("file://"):
        import fsspec

        with fsspec.open(place, "rb") as stream:
            data: bytes = stream.read()
            return data
    with open(urlsplit(place).path if place.startswith("file://") else place, "rb") as file:
        return file.read()


def find_label(label: str) -> str:
    """Look a repository up in the index.

    Parameters
    ----------
    label : `str`
        Its label.

    Returns
    -------
    place : `str`
        Where it is.

    Raises
    ------
    UnknownRepositoryError
        Raised if there is no such label, or no index; it is a `KeyError`.
    """
    index = read_index()
    if label in index:
        return index[label]
    if not index:
        raise UnknownRepositoryError(
            f"there is no index of repositories to look {label!r} up in",
            hint=f"set {INDEX_VARIABLE} to a YAML file of labels and places",
        )
    raise UnknownRepositoryError(
        f"the index of repositories has no {label!r}", hint=known_names(label, index, what="labels")
    )


def known_labels() -> dict[str, str]:
    """The index of repositories; empty also if it cannot be read."""
    try:
        return read_index()
    except RepositoryFormatError:
        return {}


def resolve_place(config: str | os.PathLike[str] | ResourcePath) -> str | os.PathLike[str] | ResourcePath:
    """Find a repository that is named by its label or by its place.

    Parameters
    ----------
    config : `str` or path-like or `lsst.resources.ResourcePath`
        A label, a path or a URL.  The index is not read for a URL, nor for a path with
        a slash that leads to a repository.

    Returns
    -------
    place : `str` or path-like or `lsst.resources.ResourcePath`
        Where it is, or what was given.

    Raises
    ------
    NotARepositoryError
        Raised if it is a name that leads to no repository, and the index, which might
        have it, cannot be read.
    """
    if not isinstance(config, str) or "://" in config:
        return config
    if INDEX_VARIABLE not in os.environ and REPOSITORIES_VARIABLE not in os.environ:
        return config
    if "/" in config and has_repository(config):
        return config
    try:
        return read_index().get(config, config)
    except RepositoryFormatError as error:
        if "/" in config or has_repository(config):
            return config
        raise NotARepositoryError(
            f"there is no repository {config!r} here, and {error.message}", hint=error.hint
        ) from None


def parse_dataset_uri(uri: str) -> ParsedButlerDatasetURI:
    """Take the address of a dataset apart.

    Parameters
    ----------
    uri : `str`
        ``ivo://authority/path?repo=LABEL&id=UUID`` or ``butler://LABEL/UUID``.

    Returns
    -------
    parsed : `ParsedButlerDatasetURI`
        Label and ID.

    Raises
    ------
    DataIdValueError
        Raised if it is no such address.
    """
    parts = urlsplit(uri)
    label = text = ""
    if parts.scheme == "ivo":
        query = parse_qs(parts.query)
        label, text = (query.get(name, [""])[0] for name in ("repo", "id"))
    elif parts.scheme == "butler":
        label, text = parts.netloc, parts.path.removeprefix("/")
    else:
        raise DataIdValueError(
            f"{uri!r} is no address of a dataset", hint="as in ivo://org.rubinobs/usdac/dr1?repo=dr1&id=UUID"
        )
    try:
        found = uuid.UUID(text)
    except ValueError:
        raise DataIdValueError(f"{uri!r}: {text!r} is no UUID") from None
    if not label:
        raise DataIdValueError(f"{uri!r} names no repository", hint="as in ?repo=LABEL&id=UUID")
    return ParsedButlerDatasetURI(label, found, uri)


def dataset_uri(label: str, ref: DatasetRef | Any, authority: str = "org.rubinobs/usdac") -> str:
    """Make the address of a dataset.

    Parameters
    ----------
    label : `str`
        Label or place of the repository.
    ref : `DatasetRef`
        The dataset.
    authority : `str`, optional
        Who gives the name out, and its path.

    Returns
    -------
    uri : `str`
        What `parse_dataset_uri` takes apart.
    """
    return f"ivo://{authority}?repo={quote(label, safe='/')}&id={ref.id}"
