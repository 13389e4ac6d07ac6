# SPDX-License-Identifier: BSD-3-Clause
"""From the text of a camera file to a `Camera`; every fault is one line that says where.

The layout of the file is described in ``docs/instruments.md``.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from lakebutler.errors import InstrumentError, known_names
from lakebutler.instruments.camera import (
    VISIT_SYSTEMS,
    Camera,
    Detector,
    FieldAngle,
    Filter,
    FocalPlane,
    HeaderFacts,
    Limits,
    Placement,
    RawFacts,
)
from lakebutler.instruments.rules import NEEDED, make_rule

__all__ = ["SCHEMA", "parse_camera"]

SCHEMA = 1
"""Version of the layout that this module reads."""

_TOP = frozenset(
    {
        "schema", "name", "title", "aliases", "class_name", "sources", "limits", "visit_systems",
        "day_obs_offset_s", "filters", "raw", "header", "focal_plane", "detectors",
    }
)  # fmt: skip
_POSITION = ("x_mm", "y_mm", "z_mm", "yaw_deg", "pitch_deg", "roll_deg")
_DETECTOR_COLUMNS = ("id", "name", "raft", "name_in_raft", "purpose", "kind", *_POSITION)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_\-]{0,31}")


class _Fault(Exception):
    """Where and what; becomes an `InstrumentError` with the name of the file."""


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
        facts = yaml.safe_load(text)
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark is not None else ""
        raise InstrumentError(f"{source}{where}: not valid YAML: {getattr(err, 'problem', err)}") from err
    try:
        return _camera(facts, source)
    except _Fault as fault:
        raise InstrumentError(f"{source}: {fault}") from None
    except InstrumentError as err:
        raise InstrumentError(f"{source}: {err.message}", hint=err.hint) from err


def _camera(facts: Any, source: str) -> Camera:
    top = _mapping(facts, "the file", _TOP)
    if top.get("schema") != SCHEMA:
        raise _Fault(f"schema is {top.get('schema')!r}, this version of lakebutler reads {SCHEMA}")
    name = _text(top, "name", "the file")
    if not _NAME.fullmatch(name):
        raise _Fault(f"name {name!r} is not made of letters, digits, '_' and '-' (at most 32)")
    systems = tuple(_list(top.get("visit_systems", ["one-to-one"]), "visit_systems"))
    for system in systems:
        if system not in VISIT_SYSTEMS:
            raise _Fault(f"visit_systems: {known_names(str(system), VISIT_SYSTEMS, what='there are')}")
    detectors = _detectors(top.get("detectors"))
    limits = _limits(top.get("limits"), detectors)
    return Camera(
        name=name,
        title=str(top.get("title", name)),
        class_name=str(top.get("class_name", "lakebutler.instruments.camera.Camera")),
        limits=limits,
        visit_systems=systems,
        day_obs_offset_s=_whole(top.get("day_obs_offset_s", 0), "day_obs_offset_s"),
        filters=_filters(top.get("filters")),
        detectors=detectors,
        raw=_raw(top.get("raw", {})),
        header=_header(top.get("header")),
        focal_plane=_focal_plane(top.get("focal_plane"), detectors),
        aliases=tuple(str(a) for a in _list(top.get("aliases", []), "aliases")),
        source=source,
    )


# --------------------------------------------------------------------- sections


def _limits(facts: Any, detectors: Sequence[Detector]) -> Limits:
    part = _mapping(facts, "limits", {"detector", "visit", "exposure"})
    values = {key: _whole(part.get(key), f"limits: {key}") for key in ("detector", "visit", "exposure")}
    largest = max(d.id for d in detectors)
    if largest >= values["detector"]:
        raise _Fault(f"limits: detector is {values['detector']}, but there is a detector {largest}")
    for key in ("visit", "exposure"):
        if not 0 < values[key] < 2**63:
            raise _Fault(f"limits: {key} must lie in 1 to 2**63 - 1")
    return Limits(**values)


def _filters(facts: Any) -> tuple[Filter, ...]:
    rows = _table(facts, "filters", ("name", "band", "aliases"), needed=("name", "band"))
    filters, spellings = list[Filter](), dict[str, str]()
    for number, row in enumerate(rows, 1):
        where = f"filters: row {number}"
        name, band = str(row["name"]), str(row["band"])
        aliases = tuple(str(a) for a in _list(row.get("aliases") or [], where))
        for text, limit in ((name, 32), (band, 32)):
            if not text or len(text) > limit:
                raise _Fault(f"{where}: {text!r} is empty or longer than {limit} characters")
        for spelling in (name, *aliases):
            if spellings.setdefault(spelling, name) != name or (spelling == name and name in _names(filters)):
                raise _Fault(f"{where}: {spelling!r} already stands for filter {spellings[spelling]!r}")
        filters.append(Filter(name, band, aliases))
    if not filters:
        raise _Fault("filters: at least one is needed")
    return tuple(filters)


def _names(filters: Iterable[Filter]) -> set[str]:
    return {f.name for f in filters}


def _raw(facts: Any) -> RawFacts:
    words = {"file_names", "units", "unit_key", "ignore_from", "dataset_type", "storage_class", "formatter"}
    part = _mapping(facts, "raw", words)
    patterns = []
    for text in _list(part.get("file_names", []), "raw: file_names"):
        try:
            patterns.append(re.compile(str(text)))
        except re.error as err:
            raise _Fault(f"raw: file_names: {text!r} is no regular expression: {err}") from None
    units = part.get("units", "image")
    if units not in ("image", "each"):
        raise _Fault(f"raw: units is image or each, not {units!r}")
    if (units == "each") != bool(part.get("unit_key")):
        raise _Fault("raw: unit_key is needed for units: each, and only there")
    ignore = part.get("ignore_from")
    kept = {key: str(part[key]) for key in ("dataset_type", "storage_class", "formatter") if key in part}
    return RawFacts(
        file_names=tuple(patterns),
        units=units,
        unit_key=str(part.get("unit_key", "")),
        ignore_from=None if ignore is None else _whole(ignore, "raw: ignore_from"),
        **kept,
    )


def _header(facts: Any) -> HeaderFacts:
    part = _mapping(facts, "header", {"translator", "match", "require", "rules"})
    translator, rules = part.get("translator"), part.get("rules")
    if (translator is None) == (rules is None):
        raise _Fault("header: exactly one of translator and rules is needed")
    made = {}
    if rules is not None:
        for key, rule in _mapping(rules, "header: rules").items():
            made[str(key)] = make_rule(str(key), rule)
        missing = [key for key in NEEDED if key not in made]
        if missing:
            raise _Fault(f"header: rules lack {', '.join(missing)}")
        if "exposure_time" not in made and "exposure_time_requested" not in made:
            raise _Fault("header: rules lack exposure_time")
        if not part.get("match"):
            raise _Fault("header: match is needed to tell this camera's files from others")
    return HeaderFacts(
        translator=None if translator is None else str(translator),
        match=_choices(part.get("match", {}), "header: match"),
        require=_choices(part.get("require", {}), "header: require"),
        rules=made,
    )


def _choices(facts: Any, where: str) -> tuple[tuple[str, frozenset[object]], ...]:
    part = _mapping(facts, where)
    return tuple((str(card), frozenset(_list(values, f"{where}: {card}"))) for card, values in part.items())


def _focal_plane(facts: Any, detectors: Sequence[Detector]) -> FocalPlane | None:
    if facts is None:
        return None
    words = ("plate_scale_arcsec_per_mm", "flip_x", "padding_px", "field_angle")
    part = _mapping(facts, "focal_plane", words)
    where = "focal_plane: field_angle"
    unplaced = [d.name for d in detectors if d.placement is None]
    if unplaced:
        raise _Fault(f"focal_plane: detector {unplaced[0]!r} has no kind and position")
    angle = _mapping(part.get("field_angle"), where)
    kind = angle.get("kind")
    if kind in ("radial", "radial_inverse"):
        key = "coefficients_rad" if kind == "radial" else "coefficients_mm"
        coefficients = _numbers(angle.get(key), f"{where}: {key}")
        if len(coefficients) < 2 or coefficients[0] != 0.0 or coefficients[1] == 0.0:
            raise _Fault(f"{where}: {key} must begin with 0 and a scale")
        made = FieldAngle(kind, coefficients)
    elif kind == "polynomial":
        axes = [
            tuple(_numbers(row, f"{where}: {axis}") for row in _list(angle.get(axis), f"{where}: {axis}"))
            for axis in ("x", "y")
        ]
        scales = [_number(angle.get(k), f"{where}: {k}") for k in ("input_scale_mm", "output_scale_arcsec")]
        made = FieldAngle(kind, x=axes[0], y=axes[1], input_scale_mm=scales[0], output_scale_arcsec=scales[1])
    else:
        raise _Fault(f"{where}: kind is radial, radial_inverse or polynomial, not {kind!r}")
    flip = part.get("flip_x", False)
    if not isinstance(flip, bool):
        raise _Fault("focal_plane: flip_x is true or false")
    return FocalPlane(
        plate_scale_arcsec_per_mm=_number(part.get("plate_scale_arcsec_per_mm"), "focal_plane: plate scale"),
        flip_x=flip,
        padding_px=_number(part.get("padding_px", 250), "focal_plane: padding_px"),
        field_angle=made,
    )


# -------------------------------------------------------------------- detectors


def _detectors(facts: Any) -> tuple[Detector, ...]:
    part = _mapping(facts, "detectors", {"kinds", "columns", "rows"})
    kinds = _mapping(part.get("kinds", {}), "detectors: kinds")
    rows = _table(
        {key: part[key] for key in ("columns", "rows") if key in part},
        "detectors",
        _DETECTOR_COLUMNS,
        needed=("id", "name"),
    )
    found: list[Detector] = []
    for number, row in enumerate(rows, 1):
        detector = _detector(row, kinds, f"detectors: row {number}")
        for other in found:
            if other.id == detector.id or other.name == detector.name:
                raise _Fault(f"detectors: row {number}: {detector.id} {detector.name!r} occurs twice")
        found.append(detector)
    if not found:
        raise _Fault("detectors: at least one is needed")
    return tuple(found)


def _detector(row: Mapping[str, Any], kinds: Mapping[str, Any], where: str) -> Detector:
    identifier = _whole(row["id"], f"{where}: id")
    if identifier < 0:
        raise _Fault(f"{where}: id {identifier} is negative")
    raft, name_in_raft = row.get("raft"), row.get("name_in_raft")
    texts = {"name": str(row["name"]), "raft": raft, "name_in_raft": name_in_raft}
    purpose = texts["purpose"] = str(row.get("purpose", "SCIENCE"))
    for key, text in texts.items():
        if text is not None and (not str(text) or len(str(text)) > 32):
            raise _Fault(f"{where}: {key} {str(text)!r} is empty or longer than 32 characters")
    return Detector(
        id=identifier,
        name=str(row["name"]),
        raft=None if raft is None else str(raft),
        name_in_raft=None if name_in_raft is None else str(name_in_raft),
        purpose=purpose,
        placement=_placement(row, kinds, where),
    )


def _placement(row: Mapping[str, Any], kinds: Mapping[str, Any], where: str) -> Placement | None:
    kind = row.get("kind")
    if kind is None:
        return None
    if kind not in kinds:
        raise _Fault(f"{where}: unknown kind {kind!r}; {known_names(str(kind), kinds, what='kinds')}")
    inside = f"detectors: kinds: {kind}"
    shape = _mapping(kinds[kind], inside, {"bbox", "pixel_mm", "reference_px"})
    bbox = tuple(_whole(v, f"{inside}: bbox") for v in _list(shape.get("bbox"), f"{inside}: bbox"))
    pixel = _numbers(shape.get("pixel_mm"), f"{inside}: pixel_mm")
    reference = _numbers(shape.get("reference_px"), f"{inside}: reference_px")
    if len(bbox) != 4 or bbox[0] > bbox[2] or bbox[1] > bbox[3]:
        raise _Fault(f"{inside}: bbox is x0, y0, x1, y1 with both ends included")
    if len(pixel) != 2 or len(reference) != 2 or min(pixel) <= 0:
        raise _Fault(f"{inside}: pixel_mm and reference_px are pairs of numbers")
    numbers = {key: _number(row.get(key, 0.0), f"{where}: {key}") for key in _POSITION}
    return Placement(
        bbox=(bbox[0], bbox[1], bbox[2], bbox[3]),
        pixel_mm=(pixel[0], pixel[1]),
        reference_px=(reference[0], reference[1]),
        offset_mm=(numbers["x_mm"], numbers["y_mm"], numbers["z_mm"]),
        yaw_deg=numbers["yaw_deg"],
        pitch_deg=numbers["pitch_deg"],
        roll_deg=numbers["roll_deg"],
    )


# ------------------------------------------------------------------ small parts


def _mapping(value: Any, where: str, words: Iterable[str] | None = None) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _Fault(f"{where}: expected a mapping, got {'nothing' if value is None else repr(value)[:40]}")
    if words is not None:
        for key in value:
            if key not in set(words):
                raise _Fault(f"{where}: unknown word {key!r}; {known_names(str(key), words, what='known')}")
    return value


def _list(value: Any, where: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise _Fault(f"{where}: expected a list, got {'nothing' if value is None else repr(value)[:40]}")
    return value


def _table(
    facts: Any, where: str, columns: Sequence[str], *, needed: Sequence[str]
) -> Sequence[Mapping[str, Any]]:
    part = _mapping(facts, where, {"columns", "rows"})
    given = [str(c) for c in _list(part.get("columns"), f"{where}: columns")]
    for column in given:
        if column not in columns:
            hint = known_names(column, columns, what="columns")
            raise _Fault(f"{where}: unknown column {column!r}; {hint}")
    for column in needed:
        if column not in given:
            raise _Fault(f"{where}: column {column!r} is missing")
    if len(set(given)) != len(given):
        raise _Fault(f"{where}: a column occurs twice")
    rows = []
    for number, row in enumerate(_list(part.get("rows"), f"{where}: rows"), 1):
        cells = _list(row, f"{where}: row {number}")
        if len(cells) != len(given):
            raise _Fault(f"{where}: row {number} has {len(cells)} cells for {len(given)} columns")
        rows.append(dict(zip(given, cells, strict=True)))
    return rows


def _text(facts: Mapping[str, Any], key: str, where: str) -> str:
    value = facts.get(key)
    if not isinstance(value, str) or not value:
        raise _Fault(f"{where}: {key} is missing or no text")
    return value


def _whole(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Fault(f"{where}: expected an integer, got {value!r}")
    return value


def _number(value: Any, where: str) -> float:
    if isinstance(value, str):  # YAML 1.1 reads 1e-5 as text
        with contextlib.suppress(ValueError):
            value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _Fault(f"{where}: expected a number, got {value!r}")
    return float(value)


def _numbers(value: Any, where: str) -> tuple[float, ...]:
    return tuple(_number(v, where) for v in _list(value, where))
