# SPDX-License-Identifier: BSD-3-Clause
"""Old repositories, found on disk: roots, parents, calibration repositories, reruns.

A repository is a directory with ``repositoryCfg.yaml``, ``_mapper``, ``_parent`` (a link,
a directory, or a file with the link's text) or ``registry.sqlite3``.  Nothing is imported,
nothing is written, and what the files say is only read.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lakebutler.errors import NotARepositoryError, RepositoryFormatError
from lakebutler.gen2.safe_yaml import load_yaml
from lakebutler.gen2.walk import printable

__all__ = ["CALIB_REGISTRY", "REGISTRY", "Gen2Repository", "Reruns", "ancestors", "find_gen2", "find_reruns"]

REGISTRY = "registry.sqlite3"
CALIB_REGISTRY = "calibRegistry.sqlite3"
_CONFIG = "repositoryCfg.yaml"
_MARKERS = (_CONFIG, "_mapper", "_parent", REGISTRY)
_NAME = re.compile(r"[A-Za-z_][\w.]*")
_RERUN = "rerun"
_DEEPEST_RERUN = 5
_LONGEST_LINK = 4096
_MOST_PARENTS = 100


@dataclass(frozen=True)
class Gen2Repository:
    """A repository, as its files describe it.

    Attributes
    ----------
    root : `str`
        Its directory: absolute, links resolved.
    kind : `str`
        What made it one: ``config``, ``mapper``, ``parent``, ``registry``, or ``calib``.
    mapper : `str` or `None`
        Dotted name of its mapper's class, its own or the first parent's.
    parents : `tuple` [`Gen2Repository`]
        Where it looks next, in order.
    calib_root : `str` or `None`
        Its calibrations.
    policy : object
        What it says of templates itself.
    notes : `tuple` [`str`]
        What was odd.
    """

    root: str
    kind: str
    mapper: str | None = None
    parents: tuple[Gen2Repository, ...] = ()
    calib_root: str | None = None
    policy: Any = None
    notes: tuple[str, ...] = field(default=())

    @property
    def registry(self) -> str | None:
        """Its registry, or the first that a parent has."""
        for repository in (self, *ancestors(self)):
            path = os.path.join(repository.root, REGISTRY)
            if os.path.isfile(path):
                return path
        return None


def ancestors(repository: Gen2Repository) -> Iterator[Gen2Repository]:
    """List the parents of a repository and theirs, depth first, each once.

    Parameters
    ----------
    repository : `Gen2Repository`
        The repository; not among them.

    Yields
    ------
    parent : `Gen2Repository`
        In the order in which it would be searched.
    """
    seen = {repository.root}
    waiting = list(reversed(repository.parents))
    while waiting:
        one = waiting.pop()
        if one.root not in seen:
            seen.add(one.root)
            yield one
            waiting.extend(reversed(one.parents))


def find_gen2(root: str | os.PathLike[str], *, calib_root: str | None = None) -> Gen2Repository:
    """Find out what a directory is.

    Parameters
    ----------
    root : `str` or path-like
        The directory.
    calib_root : `str`, optional
        Its calibrations, if it does not say, or says it wrongly.

    Returns
    -------
    repository : `Gen2Repository`
        With its parents.

    Raises
    ------
    NotARepositoryError
        Raised if it is no repository.
    RepositoryFormatError
        Raised if its configuration cannot be read, or its parents go round in a circle.
    """
    place = os.path.realpath(root)
    if not os.path.isdir(place):
        raise NotARepositoryError(f"there is no directory {os.fspath(root)}")
    if not _is_repository(place):
        if os.path.isfile(os.path.join(place, CALIB_REGISTRY)):
            return Gen2Repository(place, "calib", calib_root=place)
        if calib_root is None or not os.path.isdir(calib_root):
            raise NotARepositoryError(
                f"{os.fspath(root)} is no Gen2 repository: it has none of {', '.join(_MARKERS)}",
                hint="give its root; a bare tree of files needs --mapper and --calib-root, or a _mapper file",
            )
    return _read(place, (), {}, calib_root, {})


def _is_repository(place: str) -> bool:
    return any(os.path.lexists(os.path.join(place, marker)) for marker in _MARKERS)


_Seen = dict[str, Gen2Repository]
"""Repositories that were read, by their directory."""


def _read(
    place: str,
    below: tuple[str, ...],
    given: Mapping[str, Any],
    calib_root: str | None,
    seen: _Seen,
) -> Gen2Repository:
    """Read one repository; ``given`` is its configuration, if a child has brought it."""
    place = os.path.realpath(place)
    if printable(place) != place:
        raise RepositoryFormatError(
            f"the path {printable(place)} is not in UTF-8, and cannot be kept in a repository",
            hint="give the directory another name for the conversion",
        )
    if not given and place in seen:
        return seen[place]
    if len(below) > _MOST_PARENTS:
        raise RepositoryFormatError(f"{below[0]} has more than {_MOST_PARENTS} parents one above the other")
    if place in below:
        circle = " -> ".join((*below[below.index(place) :], place))
        raise RepositoryFormatError(f"the parents of {below[0]} go round in a circle: {circle}")
    notes: list[str] = []
    config = dict(given)
    path = os.path.join(place, _CONFIG)
    if not config and os.path.lexists(path):
        config = _config(path)
    mapper, kind = _mapper_of(place, config)
    parents = tuple(_parents(place, config, (*below, place), notes, seen))
    if mapper is None:
        mapper = next((p.mapper for p in parents if p.mapper), None)
    calibrations = _calib_root(place, config, calib_root, notes)
    made = Gen2Repository(place, kind, mapper, parents, calibrations, config.get("_policy"), tuple(notes))
    return made if given else seen.setdefault(place, made)


def _config(path: str) -> dict[str, Any]:
    config = load_yaml(path)
    if not isinstance(config, dict):
        raise RepositoryFormatError(f"{path} is no configuration of a repository: it must be a mapping")
    return config


def _mapper_of(place: str, config: Mapping[str, Any]) -> tuple[str | None, str]:
    given = config.get("_mapper")
    if isinstance(given, str) and _NAME.fullmatch(given):
        return given, "config"
    if config:
        return None, "config"
    path = os.path.join(place, "_mapper")
    if os.path.isfile(path):
        with open(path, "rb") as stream:
            text = stream.read(_LONGEST_LINK).decode("utf-8", "replace").strip()
        if not _NAME.fullmatch(text):
            raise RepositoryFormatError(
                f"{path} does not name a class: {text[:60]!r}",
                hint="it must be one line, such as a.b.HscMapper",
            )
        return text, "mapper"
    return None, "parent" if os.path.lexists(os.path.join(place, "_parent")) else "registry"


def _parents(
    place: str,
    config: Mapping[str, Any],
    below: tuple[str, ...],
    notes: list[str],
    seen: _Seen,
) -> Iterator[Gen2Repository]:
    listed = config.get("_parents") or ()
    if not isinstance(listed, list | tuple):
        raise RepositoryFormatError(f"{place}/{_CONFIG}: _parents must be a list")
    for entry in listed:
        given: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
        where = given.get("_root") if given else entry
        if not isinstance(where, str):
            raise RepositoryFormatError(f"{place}/{_CONFIG}: a parent is no path: {entry!r}")
        yield from _parent(os.path.join(place, where.removeprefix("file://")), below, given, notes, seen)
    link = os.path.join(place, "_parent")
    if os.path.lexists(link):
        target = link
        if os.path.islink(link) and not os.path.exists(link):
            real = os.path.realpath(link)
            if real == link or _goes_round(link):
                raise RepositoryFormatError(f"the link {link} goes round in a circle")
        elif os.path.isfile(link):
            with open(link, "rb") as stream:
                target = os.path.join(place, os.fsdecode(stream.read(_LONGEST_LINK)).strip())
        yield from _parent(target, below, {}, notes, seen)


def _goes_round(link: str) -> bool:
    try:
        os.stat(link)
    except OSError as error:
        return "levels of symbolic links" in str(error)
    return False


def _parent(
    where: str,
    below: tuple[str, ...],
    given: Mapping[str, Any],
    notes: list[str],
    seen: _Seen,
) -> Iterator[Gen2Repository]:
    place = os.path.realpath(where)
    if not os.path.isdir(place):
        notes.append(f"{below[-1]}: its parent {where} is not there")
        return
    yield _read(place, below, given, None, seen)


def _calib_root(place: str, config: Mapping[str, Any], given: str | None, notes: list[str]) -> str | None:
    if given is not None:
        if not os.path.isdir(given):
            raise NotARepositoryError(f"there is no directory {given} with calibrations")
        return os.path.realpath(given)
    arguments = config.get("_mapperArgs")
    named = arguments.get("calibRoot") if isinstance(arguments, dict) else None
    if isinstance(named, str):
        where = os.path.join(place, named)
        if os.path.isdir(where):
            return os.path.realpath(where)
        notes.append(f"{place}: its calibrations {named} are not there; name them with --calib-root")
    if os.path.isdir(os.path.join(place, "CALIB")):
        return os.path.realpath(os.path.join(place, "CALIB"))
    return place if os.path.isfile(os.path.join(place, CALIB_REGISTRY)) else None


class Reruns(NamedTuple):
    """What stands below ``rerun``."""

    found: list[tuple[str, Gen2Repository]]
    """Name below ``rerun`` and repository, sorted by name."""

    others: list[tuple[str, str]]
    """Paths relative to the root, of files and directories of no rerun, and why; directories end in ``/``."""


def find_reruns(repository: Gen2Repository, globs: Sequence[str] = ("*",)) -> Reruns:
    """Find the reruns below a root.

    Parameters
    ----------
    repository : `Gen2Repository`
        The root.
    globs : sequence of `str`, optional
        Names of reruns that are wanted; no other is read.

    Returns
    -------
    reruns : `Reruns`
        The repositories, and what is none; a link may lead to a repository, but not to more.
    """
    top = os.path.join(repository.root, _RERUN)
    reruns = Reruns([], [])
    seen = {repository.root}
    waiting: list[tuple[str, ...]] = [()] if os.path.isdir(top) else []
    while waiting:
        parts = waiting.pop()
        place, path = os.path.join(top, *parts), "/".join((_RERUN, *parts))
        real = os.path.realpath(place)
        if real in seen:
            reruns.others.append((path, "a link to what is converted otherwise"))
            continue
        seen.add(real)
        if parts and _is_repository(place):
            name = "/".join(parts)
            if any(fnmatch.fnmatchcase(name, glob) for glob in globs):
                reruns.found.append((name, find_gen2(place)))
            else:
                reruns.others.append((f"{path}/", "not selected"))
            continue
        if (parts and os.path.islink(place)) or len(parts) >= _DEEPEST_RERUN:
            reruns.others.append((f"{path}/", "no rerun"))
            continue
        try:
            with os.scandir(place) as entries:
                for entry in sorted(entries, key=lambda e: e.name):
                    if _is_directory(entry):
                        waiting.append((*parts, entry.name))
                    else:
                        reruns.others.append((f"{path}/{entry.name}", "in no rerun"))
        except OSError as error:
            reruns.others.append((f"{path}/", f"the directory cannot be read: {error.strerror}"))
    reruns.found.sort(key=lambda pair: pair[0])
    reruns.others.sort()
    return reruns


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that goes round in a circle
        return False
