# SPDX-License-Identifier: BSD-3-Clause
"""The repositories of one conversion, each with its templates and what a walk found there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from lakebutler.errors import RepositoryFormatError
from lakebutler.gen2.automaton import build_tree
from lakebutler.gen2.calibrations import rows_of_paths
from lakebutler.gen2.dataset_types import TypePlan, plan_type
from lakebutler.gen2.discover import (
    CALIB_REGISTRY,
    REGISTRY,
    Gen2Repository,
    ancestors,
    find_gen2,
    find_reruns,
)
from lakebutler.gen2.layout import Layout, find_layout, with_policy
from lakebutler.gen2.layout_check import SECTIONS
from lakebutler.gen2.options import Options
from lakebutler.gen2.registry import CalibTable, RawRows, read_calibrations, read_raws
from lakebutler.gen2.template import Template
from lakebutler.gen2.walk import Walked, walk
from lakebutler.instruments.cameras.camera import Camera
from lakebutler.instruments.cameras.find import load_camera

__all__ = ["Site", "Sites", "find_sites", "skymap_files", "walk_site"]

_CONFIGS = "config"
_SKYMAP_CONFIG = re.compile(r"\w*[mM]ake\w*SkyMap\w*\.py")


@dataclass
class Site:
    """A repository that is converted.

    Attributes
    ----------
    root : `str`
        Its directory.
    name : `str`
        What its outputs are named by.
    layout : `Layout`
        Where its files stand.
    sections : `tuple` [`str`]
        Sections of the layout that stand here.
    calib_tables : mapping
        Its registry of calibrations, if it has one.
    parents : `tuple` [`str`]
        Roots of its parents, in order of search.
    plans : `dict` [`str`, `TypePlan`]
        What its types become.
    walked : `Walked`
        What was found.
    """

    root: str
    name: str
    layout: Layout
    sections: tuple[str, ...]
    calib_tables: Mapping[str, CalibTable] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    plans: dict[str, TypePlan] = field(default_factory=dict)
    walked: Walked = field(default_factory=Walked)


@dataclass
class Sites:
    """All repositories of a conversion.

    Attributes
    ----------
    camera : `Camera`
        Their camera.
    layout : `Layout`
        That of the root.
    sites : `list` [`Site`]
        The root first.
    raws : `list` [`RawRows`]
        Registries of raws.
    notes : `list` [`str`]
        What was odd.
    others : `list` [`tuple` [`str`]]
        Path in the root, and reason, of what stands among reruns and is not converted;
        directories end in ``/``.
    """

    camera: Camera
    layout: Layout
    sites: list[Site] = field(default_factory=list)
    raws: list[RawRows] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    others: list[tuple[str, str]] = field(default_factory=list)


def find_sites(root: str | os.PathLike[str], options: Options) -> Sites:
    """Find all that belongs to a repository: parents, calibrations, reruns.

    Parameters
    ----------
    root : `str` or path-like
        Its directory.
    options : `Options`
        What the user says.

    Returns
    -------
    sites : `Sites`
        The repositories; nothing was walked yet.
    """
    top = find_gen2(root, calib_root=options.calib_root)
    layout = find_layout(options.mapper or top.mapper, options.layout)
    found = Sites(load_camera(layout.camera), layout)
    repositories = [top, *(ancestors(top) if options.parents else ())]
    names: set[str] = set()
    for repository in repositories:
        if repository.kind != "calib":
            _add(found, repository, _own_name(repository.root, repository is top, names))
    reruns = find_reruns(top, options.reruns)
    found.others += reruns.others
    for name, rerun in reruns.found:
        _add(found, rerun, name)
    calib_roots = dict.fromkeys(r.calib_root for r in repositories if r.calib_root is not None)
    for place in calib_roots:
        _add_calibrations(found, place, layout)
    if options.registry:
        _add_registries(found)
    for repository in repositories:
        found.notes += repository.notes
    return found


def skymap_files(site: Site) -> Iterator[str]:
    """Find the files that may tell the skymap of a repository: its own first, then its parents'.

    Parameters
    ----------
    site : `Site`
        The repository.

    Yields
    ------
    path : `str`
        A pickle of a skymap, or the configuration of what made one.
    """
    pickles = [
        template.path
        for (_, name), template in sorted(site.layout.templates.items())
        if name.endswith("_skyMap") and not template.keys
    ]
    for root in (site.root, *site.parents):
        yield from (path for name in pickles if os.path.isfile(path := f"{root}/{name}"))
        try:
            names = sorted(os.listdir(f"{root}/{_CONFIGS}"))
        except OSError:
            continue
        yield from (f"{root}/{_CONFIGS}/{name}" for name in names if _SKYMAP_CONFIG.fullmatch(name))


def _own_name(root: str, is_top: bool, names: set[str]) -> str:
    """Name the outputs that stand in a repository itself."""
    parts = root.split("/")
    if "rerun" in parts:
        at = len(parts) - 1 - parts[::-1].index("rerun")
        name = "/".join(parts[at + 1 :]) or "root"
    else:
        name = "root" if is_top else parts[-1]
    base, n = name, 2
    while name in names:
        name, n = f"{base}_{n}", n + 1
    names.add(name)
    return name


def _add(found: Sites, repository: Gen2Repository, name: str) -> None:
    if any(site.root == repository.root for site in found.sites):
        return
    layout = with_policy(found.layout, repository.policy, repository.root)
    parents = tuple(parent.root for parent in ancestors(repository))
    found.sites.append(Site(repository.root, name, layout, ("exposures", "datasets"), {}, parents))


def _add_calibrations(found: Sites, place: str, layout: Layout) -> None:
    path = os.path.join(place, CALIB_REGISTRY)
    tables = read_calibrations(path) if os.path.isfile(path) else {}
    if not tables:
        found.notes.append(
            f"{place} has no {CALIB_REGISTRY}: its calibrations are converted, but not certified"
        )
    same = next((site for site in found.sites if site.root == place), None)
    if same is not None:
        same.sections = SECTIONS
        same.calib_tables = tables
    else:
        found.sites.append(Site(place, "calib", layout, ("calibrations", "datasets"), tables))


def _add_registries(found: Sites) -> None:
    for site in found.sites:
        path = os.path.join(site.root, REGISTRY)
        if os.path.isfile(path):
            found.raws.append(read_raws(path))
    if not found.raws:
        found.notes.append(f"there is no {REGISTRY}: exposures are known from headers alone")


# ------------------------------------------------------------------------- walk


def walk_site(site: Site, camera: Camera, options: Options, skip: list[str]) -> None:
    """Walk over a repository, and plan the types that it can have.

    Parameters
    ----------
    site : `Site`
        The repository; its plans and what was found are set.
    camera : `Camera`
        Its camera.
    options : `Options`
        What is wanted.
    skip : `list` [`str`]
        Directories that are walked otherwise.
    """
    chosen, shadowed = _templates(site)
    exact = _exact(site, chosen)
    site.plans = {template.dataset_type: plan_type(site.layout, camera, template) for template in chosen}
    tree = build_tree(
        chosen,
        site.layout.rules["patterns"],
        {name: options.wants(name) for name in site.plans},
        exact,
    )
    site.walked = walk(
        site.root,
        tree,
        ignored=site.layout.rules["ignored"],
        skip=[place for place in skip if place != site.root],
        wanted=_selection(options, site.layout),
    )
    for name, others in shadowed.items():
        if name in site.walked.hits:
            first = site.plans[name].template
            site.walked.notes.append(
                f"{first.path} is the template of {name} and of {', '.join(others)}: taken for {name}"
            )


def _templates(site: Site) -> tuple[list[Template], dict[str, list[str]]]:
    """Choose one template for each path; those that lose are told by the type that wins."""
    rules = site.layout.rules
    found: dict[str, Template] = {}
    shadowed: dict[str, list[str]] = {}
    dropped = rules.get("dropped") or {}
    calib_only = "calibrations" in site.sections and "exposures" not in site.sections
    ordered = sorted(
        site.layout.templates.items(),
        key=lambda item: (item[0][1] in dropped, SECTIONS.index(item[0][0]), item[0][1]),
    )
    for (section, name), template in ordered:
        if section not in site.sections:
            continue
        if calib_only and section == "datasets" and "calibDate" not in template.keys:
            continue
        if template.catches_all and name not in site.calib_tables:
            continue
        path = template.path if not template.catches_all else f"{template.path} {name}"
        winner = found.setdefault(path, template)
        if winner is not template and name not in dropped:
            shadowed.setdefault(winner.dataset_type, []).append(name)
    by_type: dict[str, Template] = {}
    for template in found.values():
        by_type.setdefault(template.dataset_type, template)
    return list(by_type.values()), shadowed


def _exact(site: Site, templates: list[Template]) -> dict[str, Template]:
    """Files that only the registry can tell: those of templates that fit anything."""
    found: dict[str, Template] = {}
    for template in templates:
        if template.catches_all:
            table = site.calib_tables[template.dataset_type]
            if "path" not in table.columns:
                raise RepositoryFormatError(
                    f"the template of {template.dataset_type} fits every file, and its table in "
                    f"{site.root}/{CALIB_REGISTRY} has no column 'path' to say which",
                    hint="give it a template of its own: --layout FILE",
                )
            bare = Template(
                template.dataset_type, template.section, template.text, template.elements, (), frozenset()
            )
            for path in rows_of_paths(table):
                found.setdefault(path, bare)
    return found


def _selection(options: Options, layout: Layout) -> Callable[[tuple[str, ...], tuple[str, ...]], bool] | None:
    """Say which directories can hold what is selected, by the values in their paths."""
    by_dimension = {"visit": options.visits, "detector": options.detectors, "tract": options.tracts}
    limits = {
        key: chosen
        for key, dimension in layout.rules["keys"].items()
        if (chosen := by_dimension.get(dimension)) is not None
    }
    if not limits:
        return None

    def wanted(keys: tuple[str, ...], values: tuple[str, ...]) -> bool:
        return all(
            not value.isdigit() or int(value) in limits[key]
            for key, value in zip(keys, values, strict=True)
            if key in limits
        )

    return wanted
