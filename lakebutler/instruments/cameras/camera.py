# SPDX-License-Identifier: BSD-3-Clause
"""A camera as an immutable value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from lakebutler.errors import DimensionValueError, known_names

if TYPE_CHECKING:
    from lakebutler.instruments.cameras.header_fixes import FixTable, HeaderFix
    from lakebutler.instruments.cameras.rules import Rule

__all__ = [
    "VISIT_SYSTEMS",
    "Camera",
    "Detector",
    "FieldAngle",
    "Filter",
    "FocalPlane",
    "HeaderFacts",
    "Limits",
    "Placement",
    "RawFacts",
]

VISIT_SYSTEMS: Mapping[str, int] = {"one-to-one": 0, "by-group-metadata": 1, "by-seq-start-end": 2}
"""Names and identifiers of the ways to group exposures into visits."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a detector's pixels lie in the focal plane.

    Attributes
    ----------
    bbox : `tuple` [`int`]
        First and last pixel, both inclusive: x0, y0, x1, y1.  Pixel (0, 0) is the
        lower left one and its centre has the coordinates (0, 0).
    pixel_mm : `tuple` [`float`]
        Size of a pixel in x and y, in mm.
    reference_px : `tuple` [`float`]
        The pixel position that lies at ``offset_mm``.
    offset_mm : `tuple` [`float`]
        Focal-plane position x, y, z of the reference point, in mm.
    yaw_deg, pitch_deg, roll_deg : `float`
        Rotation of the detector, in degrees.
    """

    bbox: tuple[int, int, int, int]
    pixel_mm: tuple[float, float]
    reference_px: tuple[float, float]
    offset_mm: tuple[float, float, float]
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class Detector:
    """One sensor of a camera.

    Attributes
    ----------
    id : `int`
        Number in data IDs.
    name : `str`
        Full name, unique in the camera.
    raft, name_in_raft : `str` or `None`
        Group of detectors and the name within it.
    purpose : `str`
        ``SCIENCE``, ``FOCUS``, ``GUIDER``, ``WAVEFRONT``...
    placement : `Placement` or `None`
        Where it is, if that is known.
    """

    id: int
    name: str
    raft: str | None
    name_in_raft: str | None
    purpose: str
    placement: Placement | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """One physical filter.

    Attributes
    ----------
    name : `str`
        Name in data IDs.
    band : `str`
        The band it stands for.
    aliases : `tuple` [`str`]
        Other spellings met in headers.
    """

    name: str
    band: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest identifiers plus one, as the instrument record states them."""

    detector: int
    visit: int
    exposure: int


@dataclass(frozen=True, slots=True)
class RawFacts:
    """How raw files of a camera look.

    Attributes
    ----------
    file_names : `tuple` [`re.Pattern`]
        Patterns of whole file names; their named groups serve the header rules.
    units : `str`
        ``image``: one detector per file, its header in the primary unit, joined with
        that of the first image unit.  ``each``: one detector per unit that has
        ``unit_key``, each joined with the primary header.
    unit_key : `str`
        Keyword that marks a detector's unit, for ``each``.
    unit_pattern : `re.Pattern` or `None`
        What the keyword's whole value looks like where the unit holds a detector.
    ignore_from : `int` or `None`
        Units whose ``unit_key`` is at least this are no detectors of the camera.
    dataset_type, storage_class, formatter : `str`
        What raws are registered as and read with.
    """

    file_names: tuple[re.Pattern[str], ...] = ()
    units: str = "image"
    unit_key: str = ""
    unit_pattern: re.Pattern[str] | None = None
    ignore_from: int | None = None
    dataset_type: str = "raw"
    storage_class: str = "CCDData"
    formatter: str = "fits_image"


@dataclass(frozen=True, slots=True)
class HeaderFacts:
    """How a camera's headers are recognised and translated.

    Attributes
    ----------
    translator : `str` or `None`
        Name of an astro-metadata-translator class; `None`: use the rules.
    match : `tuple` [`tuple` [`str`, `frozenset`]]
        Cards, and the values one of which each must have in a file of this camera.
    require : `tuple` [`tuple` [`str`, `frozenset`]]
        Cards that tell a raw from a processed file of the same camera.
    rules : `Mapping` [`str`, `Rule`]
        Property name to rule.
    fixes : `tuple` [`HeaderFix`]
        Of headers that are known to be wrong.
    """

    translator: str | None = None
    match: tuple[tuple[str, frozenset[object]], ...] = ()
    require: tuple[tuple[str, frozenset[object]], ...] = ()
    rules: Mapping[str, Rule] = field(default_factory=dict)
    fixes: tuple[HeaderFix, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldAngle:
    """Map from the focal plane to angles about the optical axis.

    Attributes
    ----------
    kind : `str`
        ``radial``: ``a = f/|f| * sum(c[i] |f|**i)``, a in rad, f in mm.
        ``radial_inverse``: ``|f| = sum(c[i] |a|**i)``.
        ``polynomial``: ``u = f / input_scale_mm``, then
        ``a = sum(x[i][j] u_x**i u_y**j) * output_scale_arcsec``, and y likewise.
    coefficients : `tuple` [`float`]
        Of the radial kinds.
    x, y : `tuple` [`tuple` [`float`]]
        Of the polynomial kind.
    input_scale_mm, output_scale_arcsec : `float`
        Of the polynomial kind.
    """

    kind: str
    coefficients: tuple[float, ...] = ()
    x: tuple[tuple[float, ...], ...] = ()
    y: tuple[tuple[float, ...], ...] = ()
    input_scale_mm: float = 1.0
    output_scale_arcsec: float = 1.0


@dataclass(frozen=True, slots=True)
class FocalPlane:
    """Optics common to all detectors.

    Attributes
    ----------
    plate_scale_arcsec_per_mm : `float`
        Nominal scale.
    flip_x : `bool`
        Whether the x axis is mirrored between focal plane and sky.
    padding_px : `float`
        Pixels added around a detector when its region is computed.
    field_angle : `FieldAngle`
        The map to the sky.
    """

    plate_scale_arcsec_per_mm: float
    flip_x: bool
    padding_px: float
    field_angle: FieldAngle


@dataclass(frozen=True)
class Camera:
    """Everything the registry and ingest need to know about a camera.

    Attributes
    ----------
    name : `str`
        Value of the ``instrument`` dimension.
    title : `str`
        One line for people.
    class_name : `str`
        What the instrument record names as its class; only stored, never imported.
    limits : `Limits`
        Bounds on identifiers.
    visit_systems : `tuple` [`str`]
        Ways to group exposures into visits, the default one first.
    day_obs_offset_s : `int`
        An observing day begins this many seconds after midnight TAI.
    filters, detectors : `tuple`
        What the camera has.
    raw, header : `RawFacts`, `HeaderFacts`
        How its files look.
    focal_plane : `FocalPlane` or `None`
        Its optics, if known.
    aliases : `tuple` [`str`]
        Other names under which `load_camera` finds it.
    source : `str`
        The file it was read from, for messages.
    """

    name: str
    title: str
    class_name: str
    limits: Limits
    visit_systems: tuple[str, ...]
    day_obs_offset_s: int
    filters: tuple[Filter, ...]
    detectors: tuple[Detector, ...]
    raw: RawFacts
    header: HeaderFacts
    focal_plane: FocalPlane | None = None
    aliases: tuple[str, ...] = ()
    source: str = field(default="", compare=False)

    @cached_property
    def detectors_by_id(self) -> Mapping[int, Detector]:
        """Detectors by number."""
        return {d.id: d for d in self.detectors}

    @cached_property
    def detectors_by_name(self) -> Mapping[str, Detector]:
        """Detectors by full name."""
        return {d.name: d for d in self.detectors}

    @cached_property
    def filters_by_spelling(self) -> Mapping[str, Filter]:
        """Filters by name and by alias."""
        spellings = {alias: f for f in self.filters for alias in f.aliases}
        return spellings | {f.name: f for f in self.filters}

    @cached_property
    def fix_table(self) -> FixTable:
        """Fixes of headers that are known to be wrong."""
        from lakebutler.instruments.cameras.header_fixes import FixTable

        return FixTable(self.header.fixes)

    def detector(self, which: int | str) -> Detector:
        """Find a detector by number or full name.

        Parameters
        ----------
        which : `int` or `str`
            Number or name.

        Returns
        -------
        detector : `Detector`
            The detector.

        Raises
        ------
        DimensionValueError
            Raised if there is none.
        """
        table: Mapping[int, Detector] | Mapping[str, Detector]
        table = self.detectors_by_name if isinstance(which, str) else self.detectors_by_id
        found = table.get(which)  # type: ignore[arg-type]
        if found is None:
            names = [str(k) for k in table]
            hint = known_names(str(which), names, what="detectors")
            raise DimensionValueError(f"camera {self.name} has no detector {which!r}", hint=hint)
        return found

    def filter(self, spelling: str) -> Filter:
        """Find a filter by name or by a spelling met in headers.

        Parameters
        ----------
        spelling : `str`
            Name or alias.

        Returns
        -------
        filter : `Filter`
            The filter.

        Raises
        ------
        DimensionValueError
            Raised if there is none.
        """
        found = self.filters_by_spelling.get(spelling)
        if found is None:
            hint = known_names(spelling, [f.name for f in self.filters], what="filters")
            raise DimensionValueError(f"camera {self.name} has no filter {spelling!r}", hint=hint)
        return found
