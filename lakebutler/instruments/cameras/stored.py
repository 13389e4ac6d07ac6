# SPDX-License-Identifier: BSD-3-Clause
"""A camera as a dataset: the sections of a camera file that are its geometry, as JSON.

What a stored camera says about files is left out: header rules and file-name patterns come
from the camera file of the package or the user, never from a repository.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, BinaryIO

from lakebutler.errors import FileFormatError, InstrumentError
from lakebutler.formatters.formatter import Formatter, Source
from lakebutler.instruments.cameras.camera import (
    Camera,
    Detector,
    FocalPlane,
    HeaderFacts,
    Placement,
    RawFacts,
)

__all__ = ["CameraFormatter", "geometry_of", "geometry_to_facts"]

_DETECTOR = ("id", "name", "raft", "name_in_raft", "purpose")
_POSITION = ("x_mm", "y_mm", "z_mm", "yaw_deg", "pitch_deg", "roll_deg")


def geometry_of(camera: Camera) -> Camera:
    """Leave out of a camera what is about its files.

    Parameters
    ----------
    camera : `Camera`
        The camera.

    Returns
    -------
    geometry : `Camera`
        As it is read back from a repository.
    """
    return replace(camera, raw=RawFacts(), header=HeaderFacts())


def geometry_to_facts(camera: Camera) -> dict[str, Any]:
    """Write a camera's geometry as the sections of a camera file.

    Parameters
    ----------
    camera : `Camera`
        The camera.

    Returns
    -------
    facts : `dict`
        Plain values; `parse_geometry` gives the same geometry back, to the last bit.
    """
    from lakebutler.instruments.cameras.reader import SCHEMA

    facts: dict[str, Any] = {
        "schema": SCHEMA,
        "name": camera.name,
        "title": camera.title,
        "class_name": camera.class_name,
        "aliases": list(camera.aliases),
        "limits": asdict(camera.limits),
        "visit_systems": list(camera.visit_systems),
        "day_obs_offset_s": camera.day_obs_offset_s,
        "filters": {
            "columns": ["name", "band", "aliases"],
            "rows": [[f.name, f.band, list(f.aliases)] for f in camera.filters],
        },
        "detectors": _detectors(camera.detectors),
    }
    if camera.focal_plane is not None:
        facts["focal_plane"] = _focal_plane(camera.focal_plane)
    return facts


def _detectors(detectors: Sequence[Detector]) -> dict[str, Any]:
    kinds: dict[tuple[Any, ...], str] = {}
    rows = []
    for detector in detectors:
        own = [getattr(detector, name) for name in _DETECTOR]
        place = detector.placement
        if place is None:
            rows.append([*own, None, *[0.0] * len(_POSITION)])
            continue
        shape = (place.bbox, place.pixel_mm, place.reference_px)
        kind = kinds.setdefault(shape, f"kind{len(kinds) + 1}")
        rows.append([*own, kind, *_position(place)])
    shapes = {
        kind: {"bbox": list(bbox), "pixel_mm": list(pixel), "reference_px": list(reference)}
        for (bbox, pixel, reference), kind in kinds.items()
    }
    return {"kinds": shapes, "columns": [*_DETECTOR, "kind", *_POSITION], "rows": rows}


def _position(place: Placement) -> list[float]:
    return [*place.offset_mm, place.yaw_deg, place.pitch_deg, place.roll_deg]


def _focal_plane(optics: FocalPlane) -> dict[str, Any]:
    angle = optics.field_angle
    written: dict[str, Any] = {"kind": angle.kind}
    if angle.kind == "polynomial":
        written |= {
            "x": [list(row) for row in angle.x],
            "y": [list(row) for row in angle.y],
            "input_scale_mm": angle.input_scale_mm,
            "output_scale_arcsec": angle.output_scale_arcsec,
        }
    else:
        key = "coefficients_rad" if angle.kind == "radial" else "coefficients_mm"
        written[key] = list(angle.coefficients)
    return {
        "plate_scale_arcsec_per_mm": optics.plate_scale_arcsec_per_mm,
        "flip_x": optics.flip_x,
        "padding_px": optics.padding_px,
        "field_angle": written,
    }


class CameraFormatter(Formatter):
    """The geometry of a camera, as JSON with the sections of a camera file."""

    key = "camera"
    extension = ".json"

    def read(
        self, source: Source, component: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Read plain values and check every one of them."""
        self.check_request(component, parameters)
        return _camera(json.loads(source.read()))

    def write(self, obj: Any, file: BinaryIO) -> None:
        """Write the geometry, if it can be read back; what the camera says about files is left out."""
        if not isinstance(obj, Camera):
            raise FileFormatError(f"this format holds a Camera, not {type(obj).__name__}")
        text = json.dumps(geometry_to_facts(obj), ensure_ascii=False, separators=(",", ":"))
        if _camera(json.loads(text)) != geometry_of(obj):
            raise FileFormatError(f"camera {obj.name} has values that this format cannot hold")
        file.write(text.encode())


def _camera(facts: Any) -> Camera:
    from lakebutler.instruments.cameras.reader import parse_geometry

    try:
        return parse_geometry(facts, source="camera")
    except InstrumentError as err:
        raise FileFormatError(err.message, hint=err.hint) from err
