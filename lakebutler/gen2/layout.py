# SPDX-License-Identifier: BSD-3-Clause
"""Layouts: what stands where in the old repositories of a camera, as data.

A layout is a YAML file: our own for the cameras that are known, or one of the user's.
Each takes what it does not say from its ``base``, and all from ``defaults.yaml``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lakebutler.errors import RepositoryFormatError, known_names
from lakebutler.gen2.layout_check import SECTIONS, check_layout
from lakebutler.gen2.safe_yaml import load_yaml
from lakebutler.gen2.template import Template, parse_template

__all__ = ["Layout", "find_layout", "known_mappers", "with_policy"]

_OWN = Path(__file__).parent / "layouts"
_MERGED = ("keys", "filters", "patterns", "runs", "dropped", "constants", "rename", "joined")


@dataclass(frozen=True)
class Layout:
    """What stands where.

    Attributes
    ----------
    camera : `str`
        Name of the camera.
    rules : mapping
        All but the templates: see ``layouts/defaults.yaml``.
    templates : mapping
        Template by section and dataset type.
    source : `str`
        Where it comes from, for messages.
    """

    camera: str
    rules: Mapping[str, Any]
    templates: Mapping[tuple[str, str], Template]
    source: str = ""


def find_layout(mapper: str | None, given: str | os.PathLike[str] | None = None) -> Layout:
    """Find the layout of a repository.

    Parameters
    ----------
    mapper : `str` or `None`
        Dotted name of its mapper's class; never imported.
    given : `str` or path-like, optional
        A layout of the user's: it says what the mapper would.

    Returns
    -------
    layout : `Layout`
        The layout.

    Raises
    ------
    RepositoryFormatError
        Raised if nobody knows the mapper, or the layout is wrong.
    """
    if given is not None:
        return _of_user(Path(given), mapper)
    known = known_mappers()
    short = (mapper or "").rpartition(".")[2]
    found = known.get(short.lower())
    if found is None:
        hint = "describe where its files stand in a YAML file: --layout FILE (docs/convert-gen2.md)"
        if mapper is None:
            raise RepositoryFormatError("the repository does not say what its mapper is", hint=hint)
        names = known_names(short, sorted(known), what="mappers")
        raise RepositoryFormatError(f"nobody knows the mapper {mapper!r}", hint=f"{names}; or {hint}")
    name, camera = found
    return _make(_merged(_read_own(name)), camera, f"{name}.yaml")


@lru_cache(maxsize=1)
def known_mappers() -> Mapping[str, tuple[str, str]]:
    """List the mappers that are known.

    Returns
    -------
    mappers : mapping
        Name of the layout and of the camera, by the class's name in lower case.
    """
    found = {}
    for path in sorted(_OWN.glob("*.yaml")):
        for mapper, camera in (_read_own(path.stem).get("mappers") or {}).items():
            found[mapper.lower()] = (path.stem, camera)
    return found


@lru_cache(maxsize=32)
def _read_own(name: str) -> Mapping[str, Any]:
    data: Mapping[str, Any] = load_yaml(_OWN / f"{name}.yaml")
    return data


def _of_user(path: Path, mapper: str | None) -> Layout:
    data = load_yaml(path)
    check_layout(data, str(path))
    base = data.get("base")
    if base is None and mapper is not None and data.get("camera") is None:
        known = known_mappers().get(mapper.rpartition(".")[2].lower())
        if known is not None:
            data = {"base": known[0], "camera": known[1], **data}
    elif base is not None and not (_OWN / f"{base}.yaml").is_file():
        names = sorted(p.stem for p in _OWN.glob("*.yaml"))
        raise RepositoryFormatError(
            f"{path}: there is no layout {base!r}", hint=known_names(str(base), names, what="layouts")
        )
    merged = _merged(data)
    camera = merged.get("camera") or next(iter((merged.get("mappers") or {}).values()), None)
    if not isinstance(camera, str):
        raise RepositoryFormatError(f"{path} does not name its camera", hint="camera: HSC")
    return _make(merged, camera, str(path))


def _merged(data: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a layout over its base, and that over the defaults."""
    base = data.get("base")
    if base is not None:
        below = _merged(_read_own(str(base)))
    else:
        below = dict(_read_own("defaults")) if data is not _read_own("defaults") else {}
    return _over(below, data)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        if name in _MERGED or name in SECTIONS:
            if not isinstance(value, dict):
                raise RepositoryFormatError(f"{name!r} in a layout must be a mapping, not {value!r}")
            merged[name] = {**(below.get(name) or {}), **value}
        elif name == "storage":
            merged[name] = _over_storage(below.get(name) or {}, value)
        else:
            merged[name] = value
    # A camera says in which section a type of the defaults stands: only once.
    mine = {kind for section in SECTIONS for kind in above.get(section) or {}}
    for section in SECTIONS:
        own = above.get(section) or {}
        merged[section] = {k: v for k, v in (merged.get(section) or {}).items() if k not in mine or k in own}
    return merged


def _over_storage(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "types": [*(above.get("types") or ()), *(below.get("types") or ())],
        "endings": {**(below.get("endings") or {}), **(above.get("endings") or {})},
        "sections": {**(below.get("sections") or {}), **(above.get("sections") or {})},
    }


def _make(merged: Mapping[str, Any], camera: str, source: str) -> Layout:
    rename = merged.get("rename") or {}
    templates = {}
    for section in SECTIONS:
        for kind, text in (merged.get(section) or {}).items():
            if isinstance(text, dict):
                text = text.get("template")
            if text is None or text == "":
                continue
            if not isinstance(text, str):
                raise RepositoryFormatError(
                    f"{source}: the template of {kind!r} must be a text, not {text!r}"
                )
            if text.endswith("/"):
                continue  # a directory
            name = rename.get(kind, kind)
            templates[section, name] = parse_template(name, section, text)
    return Layout(camera, merged, templates, source)


def with_policy(layout: Layout, policy: Any, source: str) -> Layout:
    """Lay the policy that a repository brings over a layout.

    Parameters
    ----------
    layout : `Layout`
        The layout.
    policy : object
        The policy: maybe ``{"data": {...}}``.
    source : `str`
        Where it stands, for messages.

    Returns
    -------
    layout : `Layout`
        With its templates.
    """
    if isinstance(policy, dict) and isinstance(policy.get("data"), dict):
        policy = policy["data"]
    if not isinstance(policy, dict):
        return layout
    own = {}
    for section in SECTIONS:
        entries = policy.get(section)
        if isinstance(entries, dict):
            own[section] = {
                kind: entry["template"]
                for kind, entry in entries.items()
                if isinstance(entry, dict) and isinstance(entry.get("template"), str)
            }
    if not any(own.values()):
        return layout
    return _make(_over(layout.rules, own), layout.camera, f"{layout.source} with the policy of {source}")
