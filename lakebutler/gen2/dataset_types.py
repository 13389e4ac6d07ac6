# SPDX-License-Identifier: BSD-3-Clause
"""What a type of an old repository becomes: dimensions, storage class, formatter, or nothing."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lakebutler.gen2.layout import Layout
from lakebutler.gen2.template import Template
from lakebutler.instruments.cameras.camera import Camera

__all__ = ["KEY", "Role", "TypePlan", "plan_type"]

_PACKED = (".gz", ".fz")
_PIXELS = "htm"
KEY = re.compile(r"%\((\w+)\)s")
"""A key in the text of a joined one."""


class Role:
    """What a type is."""

    RAW = "raw"
    CALIBRATION = "calibration"
    REFCAT = "refcat"
    OTHER = "other"


@dataclass(frozen=True)
class TypePlan:
    """What a type becomes.

    Attributes
    ----------
    name : `str`
        Its name.
    template : `Template`
        Where its files stand.
    role : `str`
        One of `Role`.
    keys : mapping
        Key of the old data ID by dimension; ``htm`` stands for the level of the
        catalogue.
    constants : mapping
        Values of dimensions that no key tells.
    storage_class, formatter : `str`
        How it is read.
    run : `str` or `None`
        The run that it goes to, wherever it stands.
    curated : `bool`
        Whether it is usually written from curated data.
    refused : `str`
        Why it cannot be converted.
    joined : mapping
        Keys that are made of others: how, by their names.
    """

    name: str
    template: Template
    role: str
    keys: Mapping[str, str]
    constants: Mapping[str, Any]
    storage_class: str
    formatter: str
    run: str | None = None
    curated: bool = False
    refused: str = ""
    joined: Mapping[str, str] = field(default_factory=dict)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Its dimensions, without the level of pixels."""
        return tuple(name for name in (*self.keys, *self.constants) if name != _PIXELS)


def plan_type(layout: Layout, camera: Camera, template: Template) -> TypePlan:
    """Say what a type becomes.

    Parameters
    ----------
    layout : `Layout`
        The layout of the repository.
    camera : `Camera`
        Its camera.
    template : `Template`
        The type's template.

    Returns
    -------
    plan : `TypePlan`
        What it becomes.
    """
    rules, name = layout.rules, template.dataset_type
    path_keys = template.keys if not template.catches_all else ()
    all_keys = [*path_keys, *filter(None, [template.unit_key])]
    is_raw = name in rules["raw"]
    is_calibration = template.section == "calibrations" or "calibDate" in all_keys
    means: dict[str, str] = {}
    refused = str((rules.get("dropped") or {}).get(name) or "")
    for key in all_keys:
        dimension = rules["keys"].get(key)
        if dimension is None:
            if key not in rules["path_only"] and not refused:
                refused = f"the key {key!r} of its path has no dimension"
        elif dimension == "visit" and is_raw:
            means.setdefault("exposure", key)
        elif dimension not in ("name", "calibDate"):
            means.setdefault(dimension, key)
    joined = _join(rules.get("joined") or {}, means, path_keys)
    is_refcat = "htm" in means and "name" in all_keys
    if "htm" in means and not is_refcat and not refused:
        refused = "the key of its pixels does not say of which catalogue"
    _place_filter(means, rules, name, is_calibration)
    constants = _constants(rules, means, is_calibration)
    if is_raw:
        constants.setdefault("instrument", camera.name)
    storage_class, formatter = (
        (camera.raw.storage_class, camera.raw.formatter) if is_raw else _storage(rules["storage"], template)
    )
    role = (
        Role.RAW
        if is_raw
        else Role.CALIBRATION
        if is_calibration
        else Role.REFCAT
        if is_refcat
        else Role.OTHER
    )
    if {"visit", "exposure", "detector", "physical_filter"} & {*means, *constants} or is_calibration:
        constants["instrument"] = camera.name
    if {"tract", "patch"} & set(means):
        constants["skymap"] = None
    if "patch" in means and "tract" not in means and not refused:
        refused = "its path tells a patch, but no tract"
    return TypePlan(
        name,
        template,
        role,
        means,
        constants,
        storage_class,
        formatter,
        (rules.get("runs") or {}).get(name),
        any(fnmatch.fnmatchcase(name, glob) for glob in rules["curated"]),
        refused,
        joined,
    )


def _join(rules: Mapping[str, str], means: dict[str, str], keys: Sequence[str]) -> dict[str, str]:
    """Let several keys tell a dimension together, where none does alone."""
    made = {}
    for dimension, text in rules.items():
        parts = KEY.findall(text)
        if dimension not in means and parts and set(parts) <= set(keys):
            means[dimension] = "+".join(parts)
            made[means[dimension]] = text
    return made


def _place_filter(means: dict[str, str], rules: Mapping[str, Any], name: str, is_calibration: bool) -> None:
    """Decide what a filter means; with an exposure it is implied."""
    key = means.pop("filter", None)
    if key is None or {"visit", "exposure"} & set(means):
        return
    where = "tract" if "tract" in means else "calibration" if is_calibration else "other"
    filters = rules["filters"]
    means[(filters.get("types") or {}).get(name) or filters[where]] = key


def _constants(rules: Mapping[str, Any], means: Mapping[str, str], is_calibration: bool) -> dict[str, Any]:
    """Values that a camera has but never writes, such as its only detector."""
    given = rules.get("constants") or {}
    wanted = is_calibration or {"visit", "exposure"} & set(means)
    return {name: value for name, value in given.items() if wanted and name not in means}


def _storage(storage: Mapping[str, Any], template: Template) -> tuple[str, str]:
    path = template.path
    stem, ending = os.path.splitext(path)
    if ending in _PACKED:
        ending = os.path.splitext(stem)[1]
    for glob, chosen in storage["types"]:
        if fnmatch.fnmatchcase(template.dataset_type, glob) and (
            ending == ".fits" or chosen[1] not in ("fits_hdulist", "fits_table", "fits_image")
        ):
            return str(chosen[0]), str(chosen[1])
    if ending in storage["endings"]:
        chosen = storage["endings"][ending]
    elif ending == ".fits" or template.catches_all:
        chosen = storage["sections"][template.section]
    else:
        chosen = ["Bytes", "bytes"]
    return str(chosen[0]), str(chosen[1])
