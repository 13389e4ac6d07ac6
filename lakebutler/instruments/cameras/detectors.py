# SPDX-License-Identifier: BSD-3-Clause
"""The detectors of a camera file: a table of them, and rafts of detectors laid out alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lakebutler.errors import known_names
from lakebutler.instruments.cameras.camera import Detector, Placement
from lakebutler.instruments.cameras.facts import (
    Fault,
    as_mapping,
    as_number,
    as_numbers,
    as_sequence,
    as_table,
    as_whole,
)

__all__ = ["parse_detectors"]

_POSITION = ("x_mm", "y_mm", "z_mm", "yaw_deg", "pitch_deg", "roll_deg")
_COLUMNS = ("id", "name", "raft", "name_in_raft", "purpose", "kind", *_POSITION)
_LAYOUT_COLUMNS = ("name", "purpose", *_POSITION)
_RAFT_COLUMNS = ("name", "first_id", "kind", "layout", "x_mm", "y_mm")
_LONGEST = 32


def parse_detectors(facts: Any) -> tuple[Detector, ...]:
    """Read the detectors of a camera.

    Parameters
    ----------
    facts : `dict`
        The section ``detectors``.

    Returns
    -------
    detectors : `tuple` [`Detector`]
        In order of their numbers.

    Raises
    ------
    Fault
        Raised with the place of what is wrong.
    """
    part = as_mapping(facts, "detectors", {"kinds", "layouts", "rafts", "columns", "rows"})
    kinds = as_mapping(part.get("kinds", {}), "detectors: kinds")
    found: dict[int, Detector] = {}
    names: set[str] = set()
    for where, row in _rows(part):
        detector = _detector(row, kinds, where)
        if detector.id in found or detector.name in names:
            raise Fault(f"{where}: {detector.id} {detector.name!r} occurs twice")
        found[detector.id] = detector
        names.add(detector.name)
    if not found:
        raise Fault("detectors: at least one is needed")
    return tuple(found[number] for number in sorted(found))


def _rows(part: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """List every detector as a row of the table, those of rafts too, with its place in the file."""
    if "rafts" in part:
        yield from _of_rafts(part)
    if "rows" in part or "columns" in part or "rafts" not in part:
        own = {key: part[key] for key in ("columns", "rows") if key in part}
        for number, row in enumerate(as_table(own, "detectors", _COLUMNS, needed=("id", "name")), 1):
            yield f"detectors: row {number}", row


def _of_rafts(part: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    given = as_mapping(part.get("layouts"), "detectors: layouts")
    layouts = {
        name: as_table(facts, f"detectors: layouts: {name}", _LAYOUT_COLUMNS, needed=("name",))
        for name, facts in given.items()
    }
    where = "detectors: rafts"
    for number, raft in enumerate(as_table(part["rafts"], where, _RAFT_COLUMNS, needed=_RAFT_COLUMNS), 1):
        place = f"{where}: row {number}"
        if raft["layout"] not in layouts:
            hint = known_names(str(raft["layout"]), layouts, what="layouts")
            raise Fault(f"{place}: unknown layout {raft['layout']!r}; {hint}")
        first = as_whole(raft["first_id"], f"{place}: first_id")
        centre = {key: as_number(raft[key], f"{place}: {key}") for key in ("x_mm", "y_mm")}
        for step, slot in enumerate(layouts[raft["layout"]]):
            moved = {
                key: as_number(slot.get(key, 0.0), f"{place}: {key}") + centre[key]
                for key in ("x_mm", "y_mm")
            }
            yield (
                f"{place}: {slot['name']}",
                {
                    **slot,
                    **moved,
                    "id": first + step,
                    "name": f"{raft['name']}_{slot['name']}",
                    "raft": raft["name"],
                    "name_in_raft": slot["name"],
                    "kind": raft["kind"],
                },
            )


def _detector(row: Mapping[str, Any], kinds: Mapping[str, Any], where: str) -> Detector:
    identifier = as_whole(row["id"], f"{where}: id")
    if identifier < 0:
        raise Fault(f"{where}: id {identifier} is negative")
    raft, name_in_raft = row.get("raft"), row.get("name_in_raft")
    texts = {"name": str(row["name"]), "raft": raft, "name_in_raft": name_in_raft}
    purpose = texts["purpose"] = str(row.get("purpose", "SCIENCE"))
    for key, text in texts.items():
        if text is not None and (not str(text) or len(str(text)) > _LONGEST):
            raise Fault(f"{where}: {key} {str(text)!r} is empty or longer than {_LONGEST} characters")
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
        raise Fault(f"{where}: unknown kind {kind!r}; {known_names(str(kind), kinds, what='kinds')}")
    bbox, pixel, reference = _shape(kinds[kind], f"detectors: kinds: {kind}")
    numbers = {key: as_number(row.get(key, 0.0), f"{where}: {key}") for key in _POSITION}
    return Placement(
        bbox=(bbox[0], bbox[1], bbox[2], bbox[3]),
        pixel_mm=(pixel[0], pixel[1]),
        reference_px=(reference[0], reference[1]),
        offset_mm=(numbers["x_mm"], numbers["y_mm"], numbers["z_mm"]),
        yaw_deg=numbers["yaw_deg"],
        pitch_deg=numbers["pitch_deg"],
        roll_deg=numbers["roll_deg"],
    )


def _shape(facts: Any, where: str) -> tuple[Sequence[int], Sequence[float], Sequence[float]]:
    """Read a kind of detector: first and last pixel, size of a pixel in mm, reference point."""
    shape = as_mapping(facts, where, {"bbox", "pixel_mm", "reference_px"})
    bbox = [as_whole(v, f"{where}: bbox") for v in as_sequence(shape.get("bbox"), f"{where}: bbox")]
    pixel = as_numbers(shape.get("pixel_mm"), f"{where}: pixel_mm")
    reference = as_numbers(shape.get("reference_px"), f"{where}: reference_px")
    if len(bbox) != 4 or bbox[0] > bbox[2] or bbox[1] > bbox[3]:
        raise Fault(f"{where}: bbox is x0, y0, x1, y1 with both ends included")
    if len(pixel) != 2 or len(reference) != 2 or min(pixel) <= 0:
        raise Fault(f"{where}: pixel_mm and reference_px are pairs of numbers")
    return bbox, pixel, reference
