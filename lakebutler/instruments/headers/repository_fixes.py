# SPDX-License-Identifier: BSD-3-Clause
"""Fixes of wrong headers that a repository carries, so that none needs a new release.

They are plain values of the repository's state (kind ``header_fix``): versioned with it,
copied with it, and applied to every header that is ingested after they were added.  What
is there already changes when it is ingested again with ``update_records``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakebutler.errors import ConflictingDefinitionError, InstrumentError, known_names
from lakebutler.instruments.cameras.camera import Camera
from lakebutler.instruments.cameras.find import camera_names, load_camera
from lakebutler.instruments.cameras.header_fixes import HeaderFix, fix_from_facts, fix_to_facts
from lakebutler.lake.change import Change

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler
    from lakebutler.lake.snapshot import Snapshot

__all__ = [
    "add_header_fixes",
    "query_header_fixes",
    "read_fix_file",
    "remove_header_fixes",
    "with_repository_fixes",
]

_KIND = "header_fix"
_LONGEST_NAME = 128
_MANY = 20_000
_NAMED_BY = {"HSC": "EXP-ID"}  # card that names an exposure, where it is not OBSID


def query_header_fixes(butler: Butler, instrument: str | None = None) -> tuple[HeaderFix, ...]:
    """List the fixes of a repository.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    instrument : `str`, optional
        Only those for this camera.

    Returns
    -------
    fixes : `tuple` [`HeaderFix`]
        By name, which is the order in which they apply.

    Raises
    ------
    InstrumentError
        Raised if one is not understood by this version.
    """
    stored = butler._session.snapshot.state(_KIND)
    fixes = (
        fix_from_facts({**value, "name": name}, where=f"header fix {name!r} of the repository")
        for name, value in sorted(stored.items())
    )
    return tuple(fix for fix in fixes if instrument is None or fix.instrument == instrument)


def add_header_fixes(butler: Butler, fixes: Iterable[HeaderFix], *, replace_existing: bool = False) -> int:
    """Add fixes to a repository, in one commit.

    Parameters
    ----------
    butler : `Butler`
        A writeable repository.
    fixes : iterable of `HeaderFix`
        The fixes; their names must differ.
    replace_existing : `bool`, optional
        Whether a fix takes the place of another one of its name.

    Returns
    -------
    added : `int`
        How many were not there as they are.

    Raises
    ------
    ConflictingDefinitionError
        Raised if a name is taken by another fix.
    InstrumentError
        Raised if a name is not usable.
    """
    facts: dict[str, dict[str, Any]] = {}
    for fix in fixes:
        if not fix.name or len(fix.name) > _LONGEST_NAME or not fix.name.isprintable():
            raise InstrumentError(f"header fix {fix.name!r}: a name has 1 to {_LONGEST_NAME} characters")
        value = {key: v for key, v in fix_to_facts(fix).items() if key != "name"}
        if facts.setdefault(fix.name, value) != value:
            raise ConflictingDefinitionError(f"two header fixes are called {fix.name!r}")
    count = 0

    def build(snapshot: Snapshot) -> Change | None:
        nonlocal count
        stored = snapshot.state(_KIND)
        change, count = Change(), 0
        for name, value in facts.items():
            present = stored.get(name)
            if present is not None and dict(present) == value:
                continue
            if present is not None and not replace_existing:
                raise ConflictingDefinitionError(
                    f"the repository has another header fix {name!r}",
                    hint="--replace puts this one in its place, or give it another name",
                )
            change.set(_KIND, name, value)
            change.require(_KIND, name)
            count += 1
        if len(stored) + count > _MANY:
            raise InstrumentError(f"a repository holds at most {_MANY:,} header fixes")
        return change if count else None

    butler._session.execute(build, op="header-fix", message=f"{len(facts)} header fixes")
    return count


def remove_header_fixes(butler: Butler, names: Sequence[str]) -> None:
    """Remove fixes from a repository, in one commit.

    Parameters
    ----------
    butler : `Butler`
        A writeable repository.
    names : sequence of `str`
        Which ones.

    Raises
    ------
    InstrumentError
        Raised if there is none of a name; none is removed then.
    """

    def build(snapshot: Snapshot) -> Change | None:
        stored = snapshot.state(_KIND)
        change = Change()
        for name in names:
            if name not in stored:
                hint = known_names(name, stored, what="fixes")
                raise InstrumentError(f"the repository has no header fix {name!r}", hint=hint)
            change.set(_KIND, name, None)
            change.require(_KIND, name)
        return change if names else None

    butler._session.execute(build, op="header-fix", message=f"{len(names)} header fixes removed")


def with_repository_fixes(butler: Butler, cameras: Iterable[Camera]) -> list[Camera]:
    """Give cameras the fixes that a repository has for them, behind their own.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    cameras : iterable of `Camera`
        The cameras.

    Returns
    -------
    cameras : `list` [`Camera`]
        The same ones where there are no fixes for them.
    """
    fixes = query_header_fixes(butler)
    made = []
    for camera in cameras:
        own = tuple(fix for fix in fixes if fix.instrument == camera.name)
        header = replace(camera.header, fixes=camera.header.fixes + own)
        made.append(replace(camera, header=header) if own else camera)
    return made


def read_fix_file(path: str | os.PathLike[str]) -> list[HeaderFix]:
    """Read fixes from a file, or from all files of a directory.

    Parameters
    ----------
    path : `str` or path-like
        A YAML or JSON file: a list of fixes, or one fix, as in `fix_from_facts`.  A file
        called ``<instrument>-<observation>.yaml``, which holds nothing but cards and
        their values as those of astro-metadata-translator do, is one fix for that
        observation.

    Returns
    -------
    fixes : `list` [`HeaderFix`]
        In the order of the files; nothing in them is evaluated.

    Raises
    ------
    InstrumentError
        Raised if a file holds no fixes.
    """
    place = Path(path)
    if place.is_dir():
        files = sorted(p for p in place.iterdir() if p.suffix in (".yaml", ".yml", ".json"))
        return [fix for file in files for fix in read_fix_file(file)]
    facts = _load(place)
    if isinstance(facts, list):
        return [fix_from_facts(f, where=f"{place}: {n}") for n, f in enumerate(facts, 1)]
    if isinstance(facts, dict) and not {"set", "properties"} & set(facts):
        return [_correction(place, facts)]
    return [fix_from_facts(facts, where=str(place))]


def _load(place: Path) -> Any:
    import yaml

    try:
        text = place.read_text("utf-8")
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except (OSError, UnicodeDecodeError) as err:
        raise InstrumentError(f"cannot read {place}: {getattr(err, 'strerror', None) or err}") from err
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark is not None else ""
        raise InstrumentError(f"{place}{line}: not valid YAML: {getattr(err, 'problem', err)}") from err


def _correction(place: Path, cards: dict[str, Any]) -> HeaderFix:
    for name in sorted(camera_names(), key=len, reverse=True):
        for spelling in (name, *load_camera(name).aliases):
            if place.stem.startswith(f"{spelling}-"):
                observation = place.stem.removeprefix(f"{spelling}-")
                return fix_from_facts(
                    {"name": place.stem, "when": {_NAMED_BY.get(name, "OBSID"): observation}, "set": cards},
                    instrument=name,
                    where=str(place),
                )
    raise InstrumentError(
        f"{place}: no fix: it has neither 'set' nor 'properties'",
        hint="cards alone are a fix if the file is called <instrument>-<observation>.yaml",
    )
