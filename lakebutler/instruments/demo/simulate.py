# SPDX-License-Identifier: BSD-3-Clause
"""Raw files of the simulated camera ``DemoCam``: a few minutes of a small telescope.

Every number follows from the seed, so that the same call writes the same bytes.  The
files have the form real cameras give them: a primary header about the exposure, an
image extension per CCD with its own cards, unsigned 16 bit pixels, overscan columns,
and a tangent-plane WCS that follows from the camera geometry and the pointing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakebutler.instruments.cameras.camera import Camera, Detector
from lakebutler.instruments.cameras.find import load_camera
from lakebutler.instruments.cameras.geometry import tan_wcs
from lakebutler.progress import NullProgress, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[np.float32]

__all__ = ["CAMERA", "FIELD", "PlannedExposure", "Star", "plan_exposures", "simulate_raws", "star_field"]

CAMERA = "DemoCam"
"""Name of the simulated camera."""

FIELD = (150.1163, 2.2058)
"""Right ascension and declination of the field in degrees, ICRS."""

SEED = 20260314
OVERSCAN = 16
GAIN = 1.6  # electrons per unit
READ_NOISE = 4.0  # electrons
_SITE = (-70.7366, -30.2407)  # longitude east, latitude; degrees
_SKY = {"demo_g": 6.0, "demo_r": 11.0, "demo_i": 18.0}  # electrons per pixel and second
_ZERO_POINT = 23.6  # magnitude of one electron per second
_FLAT_LEVEL = 24000.0  # electrons
_SATURATION = 65535
_STARS = 900
_FIELD_RADIUS_DEG = 0.16
_STAMP = 9  # half size of a star's stamp in pixels


@dataclass(frozen=True, slots=True)
class Star:
    """A star of the simulated field.

    Attributes
    ----------
    ra_deg, dec_deg : `float`
        ICRS position.
    magnitude : `float`
        In the r band.
    colour : `float`
        Magnitudes from one band to the next.
    """

    ra_deg: float
    dec_deg: float
    magnitude: float
    colour: float


@dataclass(frozen=True, slots=True)
class PlannedExposure:
    """One exposure of the observing programme.

    Attributes
    ----------
    day_obs, seq_num : `int`
        Observing day YYYYMMDD and number within it.
    kind : `str`
        ``BIAS``, ``FLAT`` or ``OBJECT``.
    filter : `str`
        Physical filter.
    begin : `datetime.datetime`
        Start, UTC.
    seconds : `float`
        Exposure time.
    pointing : `tuple` or `None`
        Right ascension, declination and sky angle in degrees.
    seeing_px : `float`
        Standard deviation of the stars' profile in pixels.
    """

    day_obs: int
    seq_num: int
    kind: str
    filter: str
    begin: datetime
    seconds: float
    pointing: tuple[float, float, float] | None = None
    seeing_px: float = 1.6

    @property
    def obs_id(self) -> str:
        """Name of the exposure."""
        return f"DC_{self.day_obs}_{self.seq_num:06d}"


def plan_exposures() -> tuple[PlannedExposure, ...]:
    """Plan two nights: biases, flats and science exposures.

    Returns
    -------
    plan : `tuple` [`PlannedExposure`]
        In order of time.
    """
    nights = (
        (datetime(2026, 3, 14, tzinfo=UTC), ("demo_g", "demo_r"), 0.0),
        (datetime(2026, 3, 15, tzinfo=UTC), ("demo_r", "demo_i"), 90.0),
    )
    plan: list[PlannedExposure] = []
    for date, filters, angle in nights:
        day = date.year * 10000 + date.month * 100 + date.day
        steps: list[tuple[datetime, str, str, float, tuple[float, float, float] | None]] = []
        afternoon, dusk = date + timedelta(hours=20), date + timedelta(hours=22, minutes=10)
        night = date + timedelta(hours=26, minutes=5)
        steps += [(afternoon + timedelta(seconds=40 * i), "BIAS", "demo_closed", 0.0, None) for i in range(3)]
        for i, name in enumerate(f for f in filters for _ in range(2)):
            steps.append((dusk + timedelta(seconds=55 * i), "FLAT", name, 4.0 + 1.5 * i, None))
        for i, name in enumerate(f for f in filters for _ in range(2)):
            dither = 0.004 * (i % 2), 0.003 * (i // 2)
            pointing = (FIELD[0] + dither[0], FIELD[1] + dither[1], angle)
            steps.append((night + timedelta(seconds=95 * i), "OBJECT", name, 60.0, pointing))
        for number, (begin, kind, name, seconds, aim) in enumerate(steps, 1):
            seeing = 1.45 + 0.12 * math.sin(1.7 * number + day)
            plan.append(PlannedExposure(day, number, kind, name, begin, seconds, aim, seeing))
    return tuple(plan)


def star_field(seed: int = SEED) -> tuple[Star, ...]:
    """Make the simulated stars.

    Parameters
    ----------
    seed : `int`, optional
        Seed of the random numbers.

    Returns
    -------
    stars : `tuple` [`Star`]
        Uniform over a disc about `FIELD`, three times as many per fainter magnitude.
    """
    import numpy as np

    rng = np.random.default_rng([seed, 1])
    radius = _FIELD_RADIUS_DEG * np.sqrt(rng.random(_STARS))
    angle = 2 * np.pi * rng.random(_STARS)
    dec = FIELD[1] + radius * np.sin(angle)
    ra = FIELD[0] + radius * np.cos(angle) / math.cos(math.radians(FIELD[1]))
    magnitude = 12.5 + np.log(1 + rng.random(_STARS) * (3.0**7.5 - 1)) / math.log(3.0)
    colour = rng.normal(0.35, 0.2, _STARS)
    return tuple(map(Star, ra.tolist(), dec.tolist(), magnitude.tolist(), colour.tolist()))


def simulate_raws(
    directory: str | Path, *, seed: int = SEED, progress: Progress | None = None
) -> tuple[Path, ...]:
    """Write the raw files of the simulated programme.

    Parameters
    ----------
    directory : `str` or `pathlib.Path`
        Where they go; made if needed.  One subdirectory per observing day.
    seed : `int`, optional
        Seed of the random numbers.
    progress : `Progress`, optional
        Told of every exposure.

    Returns
    -------
    paths : `tuple` [`pathlib.Path`]
        The files, one per exposure and detector.
    """
    camera, stars, plan = load_camera(CAMERA), star_field(seed), plan_exposures()
    watch = progress or NullProgress()
    watch.start("simulating raws", len(plan))
    paths: list[Path] = []
    electronics = {d.id: _electronics(d, seed) for d in camera.detectors}
    for exposure in plan:
        folder = Path(directory) / str(exposure.day_obs)
        folder.mkdir(parents=True, exist_ok=True)
        primary = _primary_cards(exposure)
        for detector in camera.detectors:
            image = _image(camera, detector, exposure, stars, electronics[detector.id], seed)
            path = folder / f"{exposure.obs_id}_{detector.name}.fits"
            _write(path, primary, _detector_cards(camera, detector, exposure), image)
            paths.append(path)
        watch.advance()
    watch.finish()
    return tuple(paths)


# ----------------------------------------------------------------------- pixels


def _electronics(detector: Detector, seed: int) -> tuple[Image, Image]:
    """Make what is fixed in a detector: bias pattern in units, relative response."""
    import numpy as np

    rng = np.random.default_rng([seed, 2, detector.id])
    height, width = _shape(detector)
    bias = 1000.0 + 12.0 * detector.id + rng.normal(0.0, 1.5, (1, width + OVERSCAN))
    bias = bias + 6.0 * np.linspace(0.0, 1.0, height)[:, np.newaxis] ** 3
    response = 1.0 + 0.01 * rng.standard_normal((height, width)) + rng.normal(0.0, 0.02)
    y, x = np.mgrid[0:height, 0:width]
    for _ in range(3):  # dust
        at_x, at_y, size = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(5, 14)
        response -= 0.06 * np.exp(-(((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * size**2)))
    return bias.astype(np.float32), response.astype(np.float32)


def _shape(detector: Detector) -> tuple[int, int]:
    assert detector.placement is not None
    x0, y0, x1, y1 = detector.placement.bbox
    return y1 - y0 + 1, x1 - x0 + 1


def _image(
    camera: Camera,
    detector: Detector,
    exposure: PlannedExposure,
    stars: Sequence[Star],
    electronics: tuple[Image, Image],
    seed: int,
) -> NDArray[np.uint16]:
    import numpy as np

    rng = np.random.default_rng([seed, 3, exposure.day_obs, exposure.seq_num, detector.id])
    bias, response = electronics
    height, width = response.shape
    electrons = np.zeros((height, width), np.float32)
    if exposure.kind == "FLAT":
        electrons += _FLAT_LEVEL * (0.9 + 0.02 * exposure.seconds)
    elif exposure.kind == "OBJECT":
        electrons += _SKY[exposure.filter] * exposure.seconds
        _add_stars(electrons, _stars_on(camera, detector, exposure, stars), exposure.seeing_px)
    electrons *= response
    noise = rng.standard_normal((height, width + OVERSCAN), np.float32)
    units = noise * np.float32(READ_NOISE)
    units[:, :width] = electrons + noise[:, :width] * np.sqrt(electrons + np.float32(READ_NOISE**2))
    units = units / np.float32(GAIN) + bias
    pixels: NDArray[np.uint16] = np.clip(np.rint(units), 0, _SATURATION).astype(np.uint16)
    return pixels


def _stars_on(
    camera: Camera, detector: Detector, exposure: PlannedExposure, stars: Sequence[Star]
) -> Iterator[tuple[float, float, float]]:
    """Find the stars near a detector: x, y in pixels and electrons collected."""
    import numpy as np

    assert exposure.pointing is not None
    ra0, dec0, angle = exposure.pointing
    wcs: Mapping[str, Any] = tan_wcs(camera, detector, ra0, dec0, angle)
    ra = np.radians([s.ra_deg - ra0 for s in stars])
    dec, centre = np.radians([s.dec_deg for s in stars]), math.radians(dec0)
    # Gnomonic projection (Calabretta and Greisen 2002, section 5.1.3).
    depth = np.sin(dec) * math.sin(centre) + np.cos(dec) * math.cos(centre) * np.cos(ra)
    xi = np.cos(dec) * np.sin(ra) / depth
    eta = (np.sin(dec) * math.cos(centre) - np.cos(dec) * math.sin(centre) * np.cos(ra)) / depth
    cd = np.array([[wcs["CD1_1"], wcs["CD1_2"]], [wcs["CD2_1"], wcs["CD2_2"]]])
    pixels = np.linalg.solve(cd, np.degrees([xi, eta]))
    x, y = pixels[0] + wcs["CRPIX1"] - 1.0, pixels[1] + wcs["CRPIX2"] - 1.0
    height, width = _shape(detector)
    shift = {"demo_g": 1.0, "demo_r": 0.0, "demo_i": -1.0}[exposure.filter]
    near_x = abs(x - width / 2) < width / 2 + _STAMP
    near_y = abs(y - height / 2) < height / 2 + _STAMP
    for i in np.flatnonzero(near_x & near_y).tolist():
        magnitude = stars[i].magnitude + shift * stars[i].colour
        yield float(x[i]), float(y[i]), exposure.seconds * 10 ** (0.4 * (_ZERO_POINT - magnitude))


def _add_stars(image: Image, stars: Iterator[tuple[float, float, float]], sigma: float) -> None:
    import numpy as np

    height, width = image.shape
    for x, y, electrons in stars:
        left, low = max(0, round(x) - _STAMP), max(0, round(y) - _STAMP)
        right, high = min(width, round(x) + _STAMP + 1), min(height, round(y) + _STAMP + 1)
        if left >= right or low >= high:
            continue
        across = np.exp(-0.5 * ((np.arange(left, right) - x) / sigma) ** 2)
        up = np.exp(-0.5 * ((np.arange(low, high) - y) / sigma) ** 2)
        image[low:high, left:right] += np.outer(up, across) * (electrons / (2 * math.pi * sigma**2))


# ---------------------------------------------------------------------- headers


def _primary_cards(exposure: PlannedExposure) -> dict[str, tuple[object, str]]:
    end = exposure.begin + timedelta(seconds=exposure.seconds)
    target = {"OBJECT": "demo field", "BIAS": "bias", "FLAT": "twilight flat"}[exposure.kind]
    reason = {"OBJECT": "science", "BIAS": "calibration", "FLAT": "calibration"}[exposure.kind]
    cards: dict[str, tuple[object, str]] = {
        "TELESCOP": ("Demo 0.5 m", "telescope"),
        "INSTRUME": (CAMERA, "camera"),
        "OBSERVER": ("lakebutler", "who took it"),
        "SIMULATE": (True, "simulated data"),
        "OBSID": (exposure.obs_id, "name of the exposure"),
        "DAYOBS": (str(exposure.day_obs), "observing day, from noon to noon TAI"),
        "SEQNUM": (exposure.seq_num, "number within the observing day"),
        "GROUPID": (exposure.obs_id, "group of exposures"),
        "IMGTYPE": (exposure.kind, "BIAS, FLAT or OBJECT"),
        "REASON": (reason, "why it was taken"),
        "OBJECT": (target, "what was observed"),
        "PROGRAM": ("demo", "observing programme"),
        "FILTER": (exposure.filter, "physical filter"),
        "EXPREQ": (exposure.seconds, "[s] requested exposure time"),
        "EXPTIME": (exposure.seconds, "[s] exposure time"),
        "DARKTIME": (exposure.seconds + 1.2, "[s] dark time"),
        "TIMESYS": ("UTC", "time scale"),
        "DATE-BEG": (_stamp(exposure.begin), "shutter opens"),
        "DATE-END": (_stamp(end), "shutter closes"),
    }
    if exposure.pointing is not None:
        ra, dec, angle = exposure.pointing
        azimuth, altitude = _horizontal(exposure.begin, ra, dec)
        cards |= {
            "RADESYS": ("ICRS", "frame of RA and DEC"),
            "RA": (_sexagesimal(ra / 15.0, 4), "boresight"),
            "DEC": (_sexagesimal(dec, 3, sign=True), "boresight"),
            "ROTPA": (angle, "[deg] angle of the camera on the sky"),
            "AZ": (azimuth, "[deg] azimuth at the beginning"),
            "ALT": (altitude, "[deg] altitude at the beginning"),
            "AIRMASS": (round(1.0 / math.sin(math.radians(altitude)), 4), "at the beginning"),
        }
    return cards


def _detector_cards(
    camera: Camera, detector: Detector, exposure: PlannedExposure
) -> dict[str, tuple[object, str]]:
    height, width = _shape(detector)
    cards: dict[str, tuple[object, str]] = {
        "CCDNAME": (detector.name, "name of the CCD"),
        "CCDNUM": (detector.id, "number of the CCD"),
        "BUNIT": ("adu", "unit of the pixels"),
        "GAIN": (GAIN, "[electron/adu]"),
        "RDNOISE": (READ_NOISE, "[electron]"),
        "SATURATE": (_SATURATION, "[adu]"),
        "DATASEC": (f"[1:{width},1:{height}]", "pixels that see the sky"),
        "BIASSEC": (f"[{width + 1}:{width + OVERSCAN},1:{height}]", "overscan"),
    }
    if exposure.pointing is not None:
        cards |= {key: (value, "") for key, value in tan_wcs(camera, detector, *exposure.pointing).items()}
    return cards


def _horizontal(when: datetime, ra_deg: float, dec_deg: float) -> tuple[float, float]:
    """Compute azimuth (from north over east) and altitude in degrees, to about 0.01."""
    days = (when - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400.0
    sidereal = 280.46061837 + 360.98564736629 * days + _SITE[0]  # Meeus 1998, equation 12.4
    hour_angle, dec, lat = (math.radians(a) for a in (sidereal - ra_deg, dec_deg, _SITE[1]))
    altitude = math.asin(math.sin(lat) * math.sin(dec) + math.cos(lat) * math.cos(dec) * math.cos(hour_angle))
    azimuth = math.atan2(
        -math.cos(dec) * math.sin(hour_angle),
        math.cos(lat) * math.sin(dec) - math.sin(lat) * math.cos(dec) * math.cos(hour_angle),
    )
    return round(math.degrees(azimuth) % 360.0, 4), round(math.degrees(altitude), 4)


def _stamp(when: datetime) -> str:
    return when.replace(tzinfo=None).isoformat(timespec="milliseconds")


def _sexagesimal(value: float, digits: int, *, sign: bool = False) -> str:
    units = round(abs(value) * 3600 * 10**digits)
    seconds, part = divmod(units, 10**digits)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{part:0{digits}d}"
    return ("-" if value < 0 else "+") + text if sign else text


def _write(
    path: Path,
    primary: Mapping[str, tuple[object, str]],
    detector: Mapping[str, tuple[object, str]],
    image: NDArray[np.uint16],
) -> None:
    from astropy.io import fits

    first, second = fits.PrimaryHDU(), fits.ImageHDU(image, name=str(detector["CCDNAME"][0]))
    first.header.extend([(key, *value) for key, value in primary.items()])
    second.header.extend([(key, *value) for key, value in detector.items()])
    fits.HDUList([first, second]).writeto(path, overwrite=True)
