# SPDX-License-Identifier: BSD-3-Clause
"""From the text of a camera file to a `Camera`; every fault is one line that says where.

The layout of the file is described in ``docs/instruments.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lakebutler.errors import InstrumentError, known_names
from lakebutler.instruments.cameras.camera import (
    VISIT_SYSTEMS,
    Camera,
    Detector,
    FieldAngle,
    Filter,
    FocalPlane,
    HeaderFacts,
    Limits,
    RawFacts,
)
from lakebutler.instruments.cameras.detectors import parse_detectors
from lakebutler.instruments.cameras.facts import (
    Fault,
    as_mapping,
    as_number,
    as_numbers,
    as_sequence,
    as_table,
    as_text,
    as_whole,
)
from lakebutler.instruments.cameras.header_fixes import fix_from_facts
from lakebutler.instruments.cameras.rules import NEEDED, make_rule

__all__ = ["SCHEMA", "parse_camera", "parse_geometry"]

SCHEMA = 1
"""Version of the layout that this module reads."""

_TOP = frozenset(
    {
        "schema", "name", "title", "aliases", "class_name", "sources", "limits", "visit_systems",
        "day_obs_offset_s", "filters", "raw", "header", "focal_plane", "detectors", "like",
    }
)  # fmt: skip
_OF_FILES = frozenset({"sources", "raw", "header", "like"})  # no part of a camera's geometry
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_\-]{0,31}")
_LONGEST = 32
_OWN = Path(__file__).parent
_NOT_SHARED = frozenset(
    {"name", "title", "aliases", "class_name", "sources"}
)  # by a camera that is `like` another


def parse_camera(text: str, *, source: str) -> Camera:
    """Read a camera file.

    Parameters
    ----------
    text : `str`
        Its text.
    source : `str`
        Its name, for messages.

    Returns
    -------
    camera : `Camera`
        The camera.

    Raises
    ------
    InstrumentError
        Raised with one line that says what is wrong, and where.
    """
    try:
        facts = _load(text)
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark is not None else ""
        raise InstrumentError(f"{source}{where}: not valid YAML: {getattr(err, 'problem', err)}") from err
    try:
        return _camera(_completed(facts), source)
    except Fault as fault:
        raise InstrumentError(f"{source}: {fault}") from None
    except InstrumentError as err:
        raise InstrumentError(f"{source}: {err.message}", hint=err.hint) from err


def parse_geometry(facts: Any, *, source: str) -> Camera:
    """Make a camera of sections that say nothing about its files.

    Parameters
    ----------
    facts : `dict`
        The sections of a camera file but for ``sources``, ``raw``, ``header`` and ``like``.
    source : `str`
        What messages call them.

    Returns
    -------
    camera : `Camera`
        A camera whose files are not known: detectors, filters and focal plane.

    Raises
    ------
    InstrumentError
        Raised with one line that says what is wrong, and where.
    """
    try:
        top = as_mapping(facts, "the file", _TOP - _OF_FILES)
        _named(top)
        return _made(top, RawFacts(), HeaderFacts(), source)
    except Fault as fault:
        raise InstrumentError(f"{source}: {fault}") from None


def _load(text: str) -> Any:
    """Read YAML of plain values, with the fast loader where there is one."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe


def _completed(facts: Any) -> Any:
    """Take the sections a file does not have from the camera of the package it is like."""
    if not isinstance(facts, dict) or "like" not in facts:
        return facts
    names = [path.stem for path in sorted(_OWN.glob("*.yaml"))]
    if facts["like"] not in names:
        raise Fault(f"like: {known_names(str(facts['like']), names, what='there are')}")
    parent = _load((_OWN / f"{facts['like']}.yaml").read_text("utf-8"))
    if "like" in parent:
        raise Fault(f"like: {facts['like']} is itself like {parent['like']}; name that")
    own = {key: value for key, value in facts.items() if key != "like"}
    return {key: value for key, value in parent.items() if key not in _NOT_SHARED} | own


def _camera(facts: Any, source: str) -> Camera:
    top = as_mapping(facts, "the file", _TOP)
    name = _named(top)
    return _made(top, _raw(top.get("raw", {})), _header(top.get("header"), name), source)


def _named(top: Mapping[str, Any]) -> str:
    """Check version and name."""
    if top.get("schema") != SCHEMA:
        raise Fault(f"schema is {top.get('schema')!r}, this version of lakebutler reads {SCHEMA}")
    name = as_text(top, "name", "the file")
    if not _NAME.fullmatch(name):
        raise Fault(f"name {name!r} is not made of letters, digits, '_' and '-' (at most 32)")
    return name


def _made(top: Mapping[str, Any], raw: RawFacts, header: HeaderFacts, source: str) -> Camera:
    systems = tuple(as_sequence(top.get("visit_systems", ["one-to-one"]), "visit_systems"))
    for system in systems:
        if system not in VISIT_SYSTEMS:
            raise Fault(f"visit_systems: {known_names(str(system), VISIT_SYSTEMS, what='there are')}")
    detectors = parse_detectors(top.get("detectors"))
    name = str(top["name"])
    return Camera(
        name=name,
        title=str(top.get("title", name)),
        class_name=str(top.get("class_name", "lakebutler.instruments.Camera")),
        limits=_limits(top.get("limits"), detectors),
        visit_systems=systems,
        day_obs_offset_s=as_whole(top.get("day_obs_offset_s", 0), "day_obs_offset_s"),
        filters=_filters(top.get("filters")),
        detectors=detectors,
        raw=raw,
        header=header,
        focal_plane=_focal_plane(top.get("focal_plane"), detectors),
        aliases=tuple(str(a) for a in as_sequence(top.get("aliases", []), "aliases")),
        source=source,
    )


# --------------------------------------------------------------------- sections


def _limits(facts: Any, detectors: Sequence[Detector]) -> Limits:
    part = as_mapping(facts, "limits", {"detector", "visit", "exposure"})
    values = {key: as_whole(part.get(key), f"limits: {key}") for key in ("detector", "visit", "exposure")}
    largest = max(d.id for d in detectors)
    if largest >= values["detector"]:
        raise Fault(f"limits: detector is {values['detector']}, but there is a detector {largest}")
    for key in ("visit", "exposure"):
        if not 0 < values[key] < 2**63:
            raise Fault(f"limits: {key} must lie in 1 to 2**63 - 1")
    return Limits(**values)


def _filters(facts: Any) -> tuple[Filter, ...]:
    part = dict(as_mapping(facts, "filters", {"columns", "rows", "joined"}))
    joined = as_sequence(part.pop("joined", []), "filters: joined")
    rows = as_table(part, "filters", ("name", "band", "aliases"), needed=("name", "band"))
    filters, spellings = dict[str, Filter](), dict[str, str]()
    for number, row in enumerate(rows, 1):
        where = f"filters: row {number}"
        name, band = str(row["name"]), str(row["band"])
        aliases = tuple(str(a) for a in as_sequence(row.get("aliases") or [], where))
        _check_filter(name, band, where)
        for spelling in (name, *aliases):
            if spellings.setdefault(spelling, name) != name or (spelling == name and name in filters):
                raise Fault(f"{where}: {spelling!r} already stands for filter {spellings[spelling]!r}")
        filters[name] = Filter(name, band, aliases)
    if not filters:
        raise Fault("filters: at least one is needed")
    for number, pairs in enumerate(joined, 1):
        for made in _joined(pairs, filters, f"filters: joined: {number}"):
            filters.setdefault(made.name, made)  # a row of its own comes first
    return tuple(filters.values())


def _check_filter(name: str, band: str, where: str) -> None:
    for text in (name, band):
        if not text or len(text) > _LONGEST:
            raise Fault(f"{where}: {text!r} is empty or longer than {_LONGEST} characters")


def _joined(facts: Any, filters: Mapping[str, Filter], where: str) -> list[Filter]:
    """Make the filters ``first~second`` of two wheels."""
    part = as_mapping(facts, where, {"first", "second", "band"})
    template = str(part.get("band", "{first}"))
    made = []
    for first in as_sequence(part.get("first"), f"{where}: first"):
        if first not in filters:
            raise Fault(f"{where}: first: {known_names(str(first), filters, what='filters')}")
        for second in as_sequence(part.get("second"), f"{where}: second"):
            name, band = f"{first}~{second}", template.replace("{first}", filters[first].band)
            _check_filter(name, band, where)
            made.append(Filter(name, band))
    return made


def _raw(facts: Any) -> RawFacts:
    words = {
        "file_names", "units", "unit_key", "unit_pattern", "ignore_from", "dataset_type", "storage_class",
        "formatter",
    }  # fmt: skip
    part = as_mapping(facts, "raw", words)
    names = as_sequence(part.get("file_names", []), "raw: file_names")
    patterns = [_pattern(text, "raw: file_names") for text in names]
    wanted = part.get("unit_pattern")
    units = part.get("units", "image")
    if units not in ("image", "each"):
        raise Fault(f"raw: units is image or each, not {units!r}")
    if (units == "each") != bool(part.get("unit_key")):
        raise Fault("raw: unit_key is needed for units: each, and only there")
    ignore = part.get("ignore_from")
    kept = {key: str(part[key]) for key in ("dataset_type", "storage_class", "formatter") if key in part}
    return RawFacts(
        file_names=tuple(patterns),
        units=units,
        unit_key=str(part.get("unit_key", "")),
        unit_pattern=None if wanted is None else _pattern(wanted, "raw: unit_pattern"),
        ignore_from=None if ignore is None else as_whole(ignore, "raw: ignore_from"),
        **kept,
    )


def _pattern(text: Any, where: str) -> re.Pattern[str]:
    try:
        return re.compile(str(text))
    except re.error as err:
        raise Fault(f"{where}: {text!r} is no regular expression: {err}") from None


def _header(facts: Any, name: str) -> HeaderFacts:
    part = as_mapping(facts, "header", {"translator", "match", "require", "rules", "fixes"})
    translator, rules = part.get("translator"), part.get("rules")
    if (translator is None) == (rules is None):
        raise Fault("header: exactly one of translator and rules is needed")
    made = {}
    if rules is not None:
        for key, rule in as_mapping(rules, "header: rules").items():
            made[str(key)] = make_rule(str(key), rule)
        missing = [key for key in NEEDED if key not in made]
        if missing:
            raise Fault(f"header: rules lack {', '.join(missing)}")
        if "exposure_time" not in made and "exposure_time_requested" not in made:
            raise Fault("header: rules lack exposure_time")
        if not part.get("match"):
            raise Fault("header: match is needed to tell this camera's files from others")
    return HeaderFacts(
        translator=None if translator is None else str(translator),
        match=_choices(part.get("match", {}), "header: match"),
        require=_choices(part.get("require", {}), "header: require"),
        rules=made,
        fixes=tuple(
            fix_from_facts(fix, instrument=name, where=f"header: fixes: {number}")
            for number, fix in enumerate(as_sequence(part.get("fixes", []), "header: fixes"), 1)
        ),
    )


def _choices(facts: Any, where: str) -> tuple[tuple[str, frozenset[object]], ...]:
    part = as_mapping(facts, where)
    return tuple(
        (str(card), frozenset(as_sequence(values, f"{where}: {card}"))) for card, values in part.items()
    )


def _focal_plane(facts: Any, detectors: Sequence[Detector]) -> FocalPlane | None:
    if facts is None:
        return None
    words = ("plate_scale_arcsec_per_mm", "flip_x", "padding_px", "field_angle")
    part = as_mapping(facts, "focal_plane", words)
    where = "focal_plane: field_angle"
    unplaced = [d.name for d in detectors if d.placement is None]
    if unplaced:
        raise Fault(f"focal_plane: detector {unplaced[0]!r} has no kind and position")
    angle = as_mapping(part.get("field_angle"), where)
    kind = angle.get("kind")
    if kind in ("radial", "radial_inverse"):
        key = "coefficients_rad" if kind == "radial" else "coefficients_mm"
        coefficients = as_numbers(angle.get(key), f"{where}: {key}")
        if len(coefficients) < 2 or coefficients[0] != 0.0 or coefficients[1] == 0.0:
            raise Fault(f"{where}: {key} must begin with 0 and a scale")
        made = FieldAngle(kind, coefficients)
    elif kind == "polynomial":
        axes = [
            tuple(
                as_numbers(row, f"{where}: {axis}")
                for row in as_sequence(angle.get(axis), f"{where}: {axis}")
            )
            for axis in ("x", "y")
        ]
        scales = [as_number(angle.get(k), f"{where}: {k}") for k in ("input_scale_mm", "output_scale_arcsec")]
        made = FieldAngle(kind, x=axes[0], y=axes[1], input_scale_mm=scales[0], output_scale_arcsec=scales[1])
    else:
        raise Fault(f"{where}: kind is radial, radial_inverse or polynomial, not {kind!r}")
    flip = part.get("flip_x", False)
    if not isinstance(flip, bool):
        raise Fault("focal_plane: flip_x is true or false")
    return FocalPlane(
        plate_scale_arcsec_per_mm=as_number(
            part.get("plate_scale_arcsec_per_mm"), "focal_plane: plate scale"
        ),
        flip_x=flip,
        padding_px=as_number(part.get("padding_px", 250), "focal_plane: padding_px"),
        field_angle=made,
    )
