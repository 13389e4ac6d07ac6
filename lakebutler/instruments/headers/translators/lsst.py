# SPDX-License-Identifier: BSD-3-Clause
"""Translators of the LSST cameras' headers.

Source of the rules: ``translators/`` of lsst/obs_lsst at 0e84d755 (2026-04-10), restated.
Headers that are known to be wrong are mended by the fixes in the camera files before they
come here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar, cast

import astropy.units as u
from astro_metadata_translator import FitsTranslator, cache_translation
from astro_metadata_translator.translators.helpers import (
    altaz_from_degree_headers,
    tracking_from_degree_headers,
)
from astropy.coordinates import ICRS, AltAz, Angle, EarthLocation, SkyCoord
from astropy.time import Time, TimeDelta

from lakebutler.instruments.cameras.find import load_camera
from lakebutler.instruments.headers.translators.lsst_rules import (
    exposure_number,
    group_range,
    is_simulated,
    join_filters,
    normal_filter,
    pacific_midnight_s,
)

__all__ = [
    "LatissTranslator",
    "LsstCamSimTranslator",
    "LsstCamTranslator",
    "LsstComCamSimTranslator",
    "LsstComCamTranslator",
    "LsstTranslator",
    "remembered",
]

_SIMONYI = "Simonyi Survey Telescope"
_NOON = TimeDelta(12 * 3600, format="sec", scale="tai")
_SKY = frozenset({"science", "object"})
_DARKNESS = frozenset({"bias", "dark", "flat"})  # images that do not show the sky
_TRACKED = (None, "", "RADEC", "SIDEREAL")  # ways of tracking that keep a place in the sky
_ALTITUDES_DEG = (-5.55, 95.55)  # how far the telescopes lean
_OBSID = re.compile(r"[A-Z]{2}_[A-Z]_(\d{8})_(\d{6})")

_Method = TypeVar("_Method", bound=Callable[..., Any])


def remembered(method: _Method) -> _Method:
    """Let a translator compute a property once for each header."""
    return cast("_Method", cache_translation(method))


class LsstTranslator(FitsTranslator):  # type: ignore[misc]
    """What the cameras have in common; not a translator by itself."""

    _const_map: ClassVar[dict[str, Any]] = {}
    _trivial_map: ClassVar[dict[str, Any]] = {}

    camera: ClassVar[str] = ""
    """Name of the camera that knows the detectors."""
    place: ClassVar[EarthLocation] = EarthLocation.from_geodetic(-70.749417, -30.244639, 2663.0)
    """Where the telescope is, if the header does not say."""
    on_telescope_mjd: ClassVar[float] = 0.0
    """When the camera began to look at the sky, MJD in TAI."""
    laboratory_until: ClassVar[int] = 0
    """Year and month, YYYYMM, until which days began at midnight in California."""
    judges_by_type: ClassVar[bool] = True
    """Whether the type of an image may tell that it shows the sky."""

    def value(self, *keys: str) -> Any:
        """Give the value of the first of some cards that is there."""
        for key in keys:
            if self.is_key_ok(key):
                self._used_these_cards(key)
                return self._header[key]
        return None

    def need(self, *keys: str) -> Any:
        """Give the value of the first of some cards; one of them must be there."""
        value = self.value(*keys)
        if value is None:
            raise KeyError(keys[0])
        return value

    def on_telescope(self) -> bool:
        """Tell whether the camera was on its telescope."""
        begin: Time = self.to_datetime_begin()
        return self.value("CONTRLLR") == "H" or float(begin.tai.mjd) > self.on_telescope_mjd

    def on_sky(self) -> bool:
        """Tell whether the image is one of the sky, as far as the header says."""
        local = str(self.value("TRACKSYS") or "").lower() == "local"
        return not local and self.to_observation_type() not in _DARKNESS and self.on_telescope()

    # ------------------------------------------------------------------- times

    @remembered
    def to_datetime_begin(self) -> Time:
        """Give the beginning; all times are TAI."""
        for key, form in (("MJD-BEG", "mjd"), ("DATE-BEG", "fits"), ("MJD-OBS", "mjd"), ("DATE-OBS", "fits")):
            value = self.value(key)
            if value is not None:
                return Time(value, format=form, scale="tai")
        raise KeyError("DATE-BEG")

    @remembered
    def to_datetime_end(self) -> Time:
        """Give the end, or the beginning and the exposure time after it."""
        if self.is_key_ok("DATE-END"):
            return super().to_datetime_end()
        exposed = self.to_exposure_time()
        return self.to_datetime_begin() + max(exposed, 0 * u.s)

    @remembered
    def to_exposure_time_requested(self) -> u.Quantity:
        """Give the exposure time that was asked for."""
        return float(self.need("EXPTIME")) * u.s

    @remembered
    def to_exposure_time(self) -> u.Quantity:
        """Give the time for which the shutter was open; of darks it never is."""
        shutter = self.value("SHUTTIME")
        return shutter * u.s if shutter is not None and shutter > 0 else self.to_exposure_time_requested()

    @remembered
    def to_dark_time(self) -> u.Quantity:
        """Give the dark time, or else the exposure time."""
        dark = self.value("DARKTIME")
        return self.to_exposure_time() if dark is None else dark * u.s

    @classmethod
    def observing_date_to_offset(cls, observing_date: Time) -> TimeDelta:
        """Give the time after midnight at which the observing day of a time begins."""
        if int(observing_date.strftime("%Y%m")) >= cls.laboratory_until:
            return _NOON
        return TimeDelta(pacific_midnight_s(float(observing_date.utc.mjd)), format="sec", scale="tai")

    @remembered
    def to_observing_day(self) -> int:
        """Give the observing day, YYYYMMDD."""
        day = self.value("DAYOBS")
        return super().to_observing_day() if day is None else int(str(day).replace("-", ""))

    # ------------------------------------------------------------- identifiers

    @remembered
    def to_observation_id(self) -> str | None:
        """Give the name of the exposure."""
        return str(self.need("OBSID", "IMGNAME"))

    def day_and_counter(self) -> tuple[Any, Any]:
        """Give day and counter, from cards of their own or from the name of the exposure."""
        day, number = self.value("DAYOBS"), self.value("SEQNUM")
        if day is None or number is None:
            named = _OBSID.match(self.to_observation_id() or "")
            day = day if day is not None else named[1] if named else self.need("DAYOBS", "OBS-NITE")
            number = number if number is not None else named[2] if named else self.need("SEQNUM")
        return day, number

    @remembered
    def to_exposure_id(self) -> int:
        """Give the number of the exposure."""
        return exposure_number(*self.day_and_counter(), self.value("CONTRLLR"))

    def to_visit_id(self) -> int:
        """Give the number of the visit, which is that of the exposure."""
        return self.to_exposure_id()

    @remembered
    def to_exposure_group(self) -> str:
        """Give the name of the group."""
        group = self.value("GROUPID")
        return str(self.to_exposure_id()) if group is None else str(group)

    @remembered
    def to_observation_counter(self) -> int:
        """Give the counter of the day; 0 if there is none."""
        number = self.value("SEQNUM")
        return 0 if number is None else int(number)

    def _group_range(self) -> tuple[int, int]:
        index, last = self.value("CURINDEX"), self.value("MAXINDEX")
        return group_range(self.to_observation_counter(), index, last, self.to_exposure_id())

    @remembered
    def to_group_counter_start(self) -> int:
        """Give the counter of the first exposure of the sequence."""
        return self._group_range()[0]

    @remembered
    def to_group_counter_end(self) -> int:
        """Give the counter of the last exposure of the sequence."""
        return self._group_range()[1]

    # ------------------------------------------------------------ what it shows

    @remembered
    def to_observation_type(self) -> str:
        """Give the type of the image."""
        kind = str(self.need("IMGTYPE")).lower()
        return "science" if kind in ("skyexp", "object") else kind

    @remembered
    def to_observation_reason(self) -> str:
        """Give the reason of the exposure."""
        reason = self.value("REASON", "TESTTYPE")
        return super().to_observation_reason() if reason is None else str(reason).lower()

    @remembered
    def to_physical_filter(self) -> str:
        """Give the filters in the light path, joined."""
        return join_filters(self.value(key) for key in ("FILTER", "FILTER1", "FILTER2"))

    @remembered
    def to_object(self) -> str:
        """Give the name of the target."""
        return str(self.value("OBJECT") or "UNKNOWN")

    @remembered
    def to_science_program(self) -> str:
        """Give the program, or the run of the laboratory."""
        return str(self.value("PROGRAM", "RUNNUM") or "unknown")

    @remembered
    def to_has_simulated_content(self) -> bool:
        """Tell whether anything was simulated."""
        return is_simulated(self._header)

    @remembered
    def to_can_see_sky(self) -> bool | None:
        """Tell whether light of the sky came in."""
        if not self.on_telescope() or self.value("SHUTTIME") == 0.0:
            return False
        vignetted = self.value("VIGN_MIN")
        if vignetted is not None:
            return bool(vignetted != "FULLY")
        kind = self.to_observation_type()
        if not self.judges_by_type or kind not in _SKY | _DARKNESS:
            return None
        return kind in _SKY

    # ---------------------------------------------------------------- detectors

    @remembered
    def to_detector_group(self) -> str:
        """Give the raft."""
        return str(self.need("RAFTBAY"))

    @remembered
    def to_detector_name(self) -> str:
        """Give the place in the raft."""
        return str(self.need("CCDSLOT"))

    @remembered
    def to_detector_num(self) -> int:
        """Give the number of the detector."""
        name = f"{self.to_detector_group()}_{self.to_detector_name()}"
        detector = load_camera(self.camera).detectors_by_name.get(name)
        if detector is None:
            raise ValueError(f"{self.camera} has no detector {name!r}")
        return detector.id

    def to_detector_serial(self) -> str | None:
        """Give the serial number of the detector."""
        serial = self.value("LSST_NUM", "DETSER")
        return None if serial is None else str(serial)

    def to_detector_exposure_id(self) -> int | None:
        """Give nothing: this number is not used here."""
        return None

    # ----------------------------------------------------------------- pointing

    @remembered
    def to_location(self) -> EarthLocation:
        """Give the place of the telescope."""
        try:
            return super().to_location()
        except (KeyError, TypeError):
            return self.place

    @remembered
    def to_tracking_radec(self) -> SkyCoord | None:
        """Give the pointing, if the telescope tracked the sky."""
        tracked = self.value("TRACKSYS") in _TRACKED
        if not tracked or self.to_observation_type() in _DARKNESS - {"dark"}:
            return None
        try:
            if self.value("DATE-OBS") == self.value("DATE"):  # mended: RA and DEC are for 1970
                where: Any = self.to_altaz_begin()
                return SkyCoord(where.transform_to(ICRS()), obstime=where.obstime, location=where.location)
            pairs = (("RASTART", "DECSTART"), ("RA", "DEC"))
            return tracking_from_degree_headers(self, ("RADESYS",), pairs)
        except Exception:
            if self.on_sky():
                raise
            return None

    @remembered
    def to_altaz_begin(self) -> AltAz | None:
        """Give the horizontal coordinates at the beginning."""
        known = self.are_keys_ok(["ELSTART", "AZSTART"])
        if not self.on_telescope() or (self.value("CONTRLLR") == "H" and not known):
            return None
        low, high = _ALTITUDES_DEG
        begin = self.to_datetime_begin()
        return altaz_from_degree_headers(self, (("ELSTART", "AZSTART"),), begin, min_alt=low, max_alt=high)

    @remembered
    def to_boresight_rotation_angle(self) -> Angle:
        """Give the angle of the camera on the sky."""
        angle = self.value("ROTPA", "ROTANGLE")
        if angle is None and self.to_observation_type() == "science" and self.on_telescope():
            raise KeyError("ROTPA")
        return Angle((0.0 if angle is None else angle) * u.deg)

    @remembered
    def to_boresight_rotation_coord(self) -> str:
        """Tell whether that angle is one on the sky."""
        return str(self.value("ROTCOORD") or "unknown") if self.on_sky() else "unknown"

    @remembered
    def to_boresight_airmass(self) -> float | None:
        """Give the airmass at the beginning."""
        airmass = self.value("AMSTART") if self.on_sky() else None
        return None if airmass is None else float(airmass)

    # ------------------------------------------------------------------ weather

    def to_relative_humidity(self) -> float | None:
        """Give the relative humidity in percent."""
        return self.value("HUMIDITY")  # type: ignore[no-any-return]

    def to_pressure(self) -> u.Quantity | None:
        """Give the pressure; above 10,000 the header has Pa, below hPa."""
        pressure = self.value("PRESSURE")
        return None if pressure is None else pressure * (u.Pa if pressure > 10_000 else u.hPa)

    def to_temperature(self) -> u.Quantity | None:
        """Give the temperature of the air."""
        temperature = self.value("AIRTEMP")
        return None if temperature is None else temperature * u.deg_C


def _says(header: Mapping[str, Any], name: str) -> bool:
    """Tell whether a header is of an instrument of the large telescope."""
    stated = header.get("INSTRUME")
    return (
        isinstance(stated, str)
        and stated.lower() == name
        and header.get("TELESCOP", "LSST") in (_SIMONYI, "LSST")
    )


class LsstCamTranslator(LsstTranslator):
    """The LSST Camera."""

    name = "LSSTCam"
    supported_instrument = "LSSTCam"
    camera = "LSSTCam"
    on_telescope_mjd = 60735.0 + 37 / 86400  # 2025-03-01 UTC
    laboratory_until = 202405
    judges_by_type = False
    _const_map: ClassVar[dict[str, Any]] = {"instrument": "LSSTCam", "telescope": _SIMONYI}

    @classmethod
    def can_translate(cls, header: Mapping[str, Any], filename: str | None = None) -> bool:  # noqa: ARG003
        """Tell whether a header is of this camera."""
        stated = header.get("INSTRUME")
        return isinstance(stated, str) and stated.lower() == "lsstcam"


class LsstComCamTranslator(LsstTranslator):
    """The Commissioning Camera."""

    name = "LSSTComCam"
    supported_instrument = "LSSTComCam"
    camera = "LSSTComCam"
    on_telescope_mjd = 60546.0 + 37 / 86400  # 2024-08-24 UTC
    laboratory_until = 202003
    judges_by_type = False
    _const_map: ClassVar[dict[str, Any]] = {"instrument": "LSSTComCam", "telescope": _SIMONYI}

    @classmethod
    def can_translate(cls, header: Mapping[str, Any], filename: str | None = None) -> bool:  # noqa: ARG003
        """Tell whether a header is of this camera; in 2019 some said they were of LSST_CAMERA."""
        early = header.get("TELCODE") == "CC" and str(header.get("INSTRUME")).lower() == "lsst_camera"
        return early or any(_says(header, name) for name in ("comcam", "lsstcomcam"))


class _Simulated:
    """Cameras of a simulated observatory, which is always on the mountain."""

    def on_telescope(self) -> bool:
        """Tell that the camera is on its telescope."""
        return True

    def to_has_simulated_content(self) -> bool:
        """Tell that it is simulated."""
        return True


class LsstCamSimTranslator(_Simulated, LsstTranslator):
    """The LSST Camera of a simulated observatory."""

    name = "LSSTCamSim"
    supported_instrument = "LSSTCamSim"
    camera = "LSSTCamSim"
    _const_map: ClassVar[dict[str, Any]] = {"instrument": "LSSTCamSim", "telescope": _SIMONYI}

    @classmethod
    def can_translate(cls, header: Mapping[str, Any], filename: str | None = None) -> bool:  # noqa: ARG003
        """Tell whether a header is of this camera."""
        return _says(header, "lsstcamsim")


class LsstComCamSimTranslator(_Simulated, LsstTranslator):
    """The Commissioning Camera of a simulated observatory."""

    name = "LSSTComCamSim"
    supported_instrument = "LSSTComCamSim"
    camera = "LSSTComCamSim"
    _const_map: ClassVar[dict[str, Any]] = {"instrument": "LSSTComCamSim", "telescope": _SIMONYI}

    @classmethod
    def can_translate(cls, header: Mapping[str, Any], filename: str | None = None) -> bool:  # noqa: ARG003
        """Tell whether a header is of this camera."""
        return any(_says(header, name) for name in ("comcamsim", "lsstcomcamsim"))


class LatissTranslator(LsstTranslator):
    """The spectrograph of the Auxiliary Telescope."""

    name = "LSST_LATISS"
    supported_instrument = "LATISS"
    camera = "LATISS"
    place = EarthLocation.from_geodetic(-70.747698, -30.244728, 2663.0)
    on_telescope_mjd = 58849.0 + 37 / 86400  # 2020-01-01 UTC
    _const_map: ClassVar[dict[str, Any]] = {
        "instrument": "LATISS",
        "telescope": "Rubin Auxiliary Telescope",
        "detector_group": "RXX",
        "detector_name": "S00",
        "detector_num": 0,
    }

    @classmethod
    def can_translate(cls, header: Mapping[str, Any], filename: str | None = None) -> bool:  # noqa: ARG003
        """Tell whether a header is of this camera; some early ones say LSST_ATISS."""
        return header.get("INSTRUME") in ("LATISS", "LSST_ATISS") or header.get("DETNAME") == "RXX_S00"

    def on_telescope(self) -> bool:
        """Tell whether the camera was on its telescope."""
        begin: Time = self.to_datetime_begin()
        return float(begin.tai.mjd) > self.on_telescope_mjd

    @remembered
    def to_observation_id(self) -> str | None:
        """Give the name of the exposure, which only images of the sky must have."""
        name = self.value("OBSID", "IMGNAME")
        if name is None and self.to_observation_type() == "science":
            raise KeyError("OBSID")
        return None if name is None else str(name)

    @remembered
    def to_exposure_time_requested(self) -> u.Quantity:
        """Give the exposure time; some headers have none, which is told by -1 s."""
        exposed = self.value("EXPTIME")
        return (-1.0 if exposed is None else float(exposed)) * u.s

    @remembered
    def to_dark_time(self) -> u.Quantity:
        """Give the dark time, which is at least the exposure time."""
        dark, exposed = self.value("DARKTIME"), self.to_exposure_time()
        return exposed if dark is None or dark * u.s < exposed else dark * u.s

    @remembered
    def to_observation_type(self) -> str:
        """Give the type of the image, or a guess."""
        stated = self.value("OBSTYPE", "IMGTYPE")
        if stated is None:
            return "bias" if self.to_exposure_time() == 0.0 * u.s else "unknown"
        kind = str(stated).lower()
        if kind == "object" and not self.on_telescope():
            return "labobject"
        return "science" if kind in ("skyexp", "object") else kind

    @remembered
    def to_physical_filter(self) -> str:
        """Give filter and grating, joined; one that is not stated is unknown."""
        places = (self.value("FILTER"), self.value("GRATING"))
        return "~".join("unknown" if name is None else normal_filter(str(name)) for name in places)

    @remembered
    def to_object(self) -> str:
        """Give the name of the target, which only images of the sky must have."""
        target = self.value("OBJECT")
        if target is None and self.to_observation_type() == "science" and self.on_telescope():
            raise KeyError("OBJECT")
        return "UNKNOWN" if target is None else str(target)
