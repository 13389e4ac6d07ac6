# SPDX-License-Identifier: BSD-3-Clause
"""Combined biases and flats of the demo, certified from the night they were taken on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.collections.collection import CollectionType
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.instruments.cameras.camera import Camera, Detector
from lakebutler.instruments.cameras.find import load_camera
from lakebutler.instruments.cameras.geometry import without_overscan
from lakebutler.instruments.cameras.register import raw_run_name
from lakebutler.instruments.demo.simulate import CAMERA, OVERSCAN
from lakebutler.progress import Progress
from lakebutler.timespan import Timespan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lakebutler.butler.butler import Butler

    Image = NDArray[np.float32]

__all__ = ["CALIB", "CERTIFIED", "make_calibrations", "reduced"]

CALIB = f"{CAMERA}/calib"
CERTIFIED = f"{CAMERA}/calib/demo"

_Product = tuple[str, int, str]
"""Dataset type, detector, physical filter (none for a bias)."""


def make_calibrations(butler: Butler, watch: Progress) -> dict[str, int]:
    """Combine biases and flats of each night, certify and chain them, in one commit.

    Parameters
    ----------
    butler : `Butler`
        The demo's repository.
    watch : `Progress`
        Told of every night.

    Returns
    -------
    made : `dict` [`str`, `int`]
        How many there are of each dataset type.
    """
    camera = load_camera(CAMERA)
    records = butler.query_dimension_records("exposure", instrument=CAMERA, limit=None)
    exposures = [record.toDict() for record in records]
    nights = sorted({int(row["day_obs"]) for row in exposures})
    watch.start("combining calibrations", len(nights))
    products: dict[_Product, dict[int, Any]] = {}
    with butler.transaction(message="combined calibrations"):
        _register(butler, nights)
        for night in nights:
            rows = [row for row in exposures if row["day_obs"] == night]
            for product, image in _combine(butler, camera, rows).items():
                products.setdefault(product, {})[night] = _put(butler, product, image, night)
            watch.advance()
        by_validity: dict[tuple[str, Timespan], list[Any]] = {}
        for (name, _, _), refs in products.items():
            for timespan, ref in _validities(refs):
                by_validity.setdefault((name, timespan), []).append(ref)
        for (_, timespan), group in by_validity.items():
            butler.registry.certify(CERTIFIED, group, timespan)
    watch.finish()
    return {
        kind: sum(len(refs) for (name, _, _), refs in products.items() if name == kind)
        for kind in ("bias", "flat")
    }


def _register(butler: Butler, nights: Sequence[int]) -> None:
    universe = butler.dimensions
    for name, dimensions in (
        ("bias", ["instrument", "detector"]),
        ("flat", ["instrument", "detector", "physical_filter"]),
    ):
        kind = DatasetType(name, dimensions, "CCDData", universe=universe, isCalibration=True)
        butler.registry.registerDatasetType(kind)
    butler.collections.register(CERTIFIED, CollectionType.CALIBRATION)
    for night in nights:
        butler.collections.register(f"{CERTIFIED}/{night}", CollectionType.RUN)
    butler.collections.register(CALIB, CollectionType.CHAINED)
    butler.collections.redefine_chain(CALIB, [CERTIFIED])


def _put(butler: Butler, product: _Product, image: Image, night: int) -> Any:
    from astropy import units
    from astropy.nddata import CCDData

    name, detector, optics = product
    key: dict[str, Any] = {"instrument": CAMERA, "detector": detector}
    if optics:
        key["physical_filter"] = optics
    unit = units.adu if name == "bias" else units.dimensionless_unscaled
    return butler.put(CCDData(image, unit=unit), name, key, run=f"{CERTIFIED}/{night}")


def _validities(refs: Mapping[int, Any]) -> list[tuple[Timespan, Any]]:
    """Let each night's dataset be valid from its noon to that of the next one of its kind."""
    nights = sorted(refs)
    ends = [*nights[1:], None]
    return [(_from_noon(night, end), refs[night]) for night, end in zip(nights, ends, strict=True)]


def _from_noon(night: int, end: int | None) -> Timespan:
    offset = load_camera(CAMERA).day_obs_offset_s
    begin = Timespan.from_day_obs(night, offset).begin
    return Timespan(begin, None if end is None else Timespan.from_day_obs(end, offset).begin)


# ----------------------------------------------------------------------- pixels


def _combine(butler: Butler, camera: Camera, rows: Sequence[Mapping[str, Any]]) -> dict[_Product, Image]:
    """Combine the biases and flats of one night."""
    import numpy as np

    made: dict[_Product, Image] = {}
    biases = [row["id"] for row in rows if row["observation_type"] == "bias"]
    flats: dict[str, list[int]] = {}
    for row in rows:
        if row["observation_type"] == "flat":
            flats.setdefault(row["physical_filter"], []).append(row["id"])
    for detector in camera.detectors:
        levels = [_without_level(detector, _raw(butler, camera, number, detector)) for number in biases]
        made["bias", detector.id, ""] = np.median(levels, axis=0).astype(np.float32)
    for optics, numbers in flats.items():
        mosaics = []
        for number in numbers:
            mosaic = np.stack(
                [
                    _without_level(d, _raw(butler, camera, number, d)) - made["bias", d.id, ""]
                    for d in camera.detectors
                ]
            )
            mosaics.append(
                mosaic / np.median(mosaic)
            )  # one level for the camera: detectors become comparable
        for detector, image in zip(camera.detectors, np.mean(mosaics, axis=0), strict=True):
            made["flat", detector.id, optics] = image.astype(np.float32)
    return made


def _raw(butler: Butler, camera: Camera, exposure: int, detector: Detector) -> Any:
    key = {"instrument": camera.name, "exposure": exposure, "detector": detector.id}
    return butler.get("raw", key, collections=raw_run_name(camera)).data


def _without_level(detector: Detector, pixels: Any) -> Image:
    """Take the overscan's level out and cut the overscan off."""
    import numpy as np

    assert detector.placement is not None
    level = np.float32(np.median(pixels[:, -OVERSCAN:]))
    return without_overscan(detector.placement, pixels).astype(np.float32) - level


def reduced(detector: Detector, raw: Any, bias: Any, flat: Any) -> Image:
    """Take level, bias and flat out of a raw image.

    Parameters
    ----------
    detector : `Detector`
        Whose image it is.
    raw, bias, flat : `astropy.nddata.CCDData`
        The images.

    Returns
    -------
    pixels : `numpy.ndarray`
        In adu.
    """
    pixels: Image = (_without_level(detector, raw.data) - bias.data) / flat.data
    return pixels
