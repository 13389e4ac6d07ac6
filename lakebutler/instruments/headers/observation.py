# SPDX-License-Identifier: BSD-3-Clause
"""What ingest needs to know of one detector's image, and the records that follow from it.

The rules are those of ``lsst.obs.base`` v30 for universe version 8: the
``exposure_time`` column holds the requested time, sky coordinates are ICRS,
``sky_angle`` is only given where the header's angle is one on the sky, azimuth and
zenith angle are those of the beginning, and an end before the beginning becomes the
beginning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lakebutler.errors import HeaderError
from lakebutler.instruments.headers.values import angle, duration, logical, shown, text, whole
from lakebutler.timespan import MAX_NSEC, MIN_NSEC, Timespan

if TYPE_CHECKING:
    from lakebutler.instruments.cameras.camera import Camera

__all__ = [
    "Observation",
    "day_obs_record",
    "exposure_record",
    "find_detector",
    "find_filter",
    "group_record",
    "observation_from_values",
]

_NSEC_PER_S = 1_000_000_000
_NSEC_PER_DAY = 86_400 * _NSEC_PER_S
# A clock that says so has not been set, or is broken.
_DAYS = range(19700101, 21000101)
_LARGEST_OFFSET_S = 2 * 86_400


class Observation(NamedTuple):
    """One detector of one exposure, as its header tells.

    Attributes
    ----------
    instrument, exposure_id, detector : `str`, `int`, `int`
        The data ID.
    obs_id, physical_filter, group : `str`
        Name of the exposure, filter in place, group of exposures.
    day_obs : `int`
        Observing day, YYYYMMDD.
    day_obs_offset_s : `int` or `None`
        Seconds after midnight TAI at which that day begins.
    begin_nsec, end_nsec : `int`
        Nanoseconds TAI since 1970-01-01T00:00:00 TAI.
    exposure_time_s : `float`
        Requested exposure time in seconds.
    dark_time_s : `float` or `None`
        Dark time in seconds.
    observation_type, observation_reason : `str`
        ``science``, ``bias``...; why it was taken.
    seq_num, seq_start, seq_end : `int` or `None`
        Counter of this exposure, of the first and of the last of its group.
    target_name, science_program : `str` or `None`
        What was observed, and for whom.
    tracking_ra_deg, tracking_dec_deg, sky_angle_deg : `float` or `None`
        ICRS boresight and the angle of the camera on the sky, in degrees.
    azimuth_deg, zenith_angle_deg : `float` or `None`
        Horizontal coordinates at the beginning, in degrees.
    has_simulated, can_see_sky : `bool` or `None`
        Whether any of it was simulated; whether it shows the sky.
    """

    instrument: str
    exposure_id: int
    detector: int
    obs_id: str
    physical_filter: str
    group: str
    day_obs: int
    day_obs_offset_s: int | None
    begin_nsec: int
    end_nsec: int
    exposure_time_s: float
    dark_time_s: float | None
    observation_type: str
    observation_reason: str | None
    seq_num: int | None
    seq_start: int | None
    seq_end: int | None
    target_name: str | None
    science_program: str | None
    tracking_ra_deg: float | None
    tracking_dec_deg: float | None
    sky_angle_deg: float | None
    azimuth_deg: float | None
    zenith_angle_deg: float | None
    has_simulated: bool | None
    can_see_sky: bool | None

    def of_detector(self, number: int) -> Observation:
        """Give the same exposure as another detector saw it.

        Parameters
        ----------
        number : `int`
            The other detector.

        Returns
        -------
        observation : `Observation`
            What all detectors share, with this number.
        """
        return Observation._make((*self[:_DETECTOR], number, *self[_DETECTOR + 1 :]))

    @property
    def exposure_key(self) -> tuple[str, int]:
        """Instrument and exposure: what the detectors of one exposure share."""
        return self.instrument, self.exposure_id


_DETECTOR = Observation._fields.index("detector")


def day_of(nsec: int, offset_s: int) -> int:
    """Compute the observing day of a time.

    Parameters
    ----------
    nsec : `int`
        Nanoseconds TAI since 1970-01-01T00:00:00 TAI.
    offset_s : `int`
        Seconds after midnight TAI at which a day begins.

    Returns
    -------
    day_obs : `int`
        YYYYMMDD.
    """
    from datetime import date, timedelta

    day = date(1970, 1, 1) + timedelta(days=(nsec - offset_s * _NSEC_PER_S) // _NSEC_PER_DAY)
    return day.year * 10000 + day.month * 100 + day.day


def observation_from_values(camera: Camera, values: dict[str, Any]) -> Observation:
    """Complete translated properties into an observation, and check them.

    Parameters
    ----------
    camera : `Camera`
        The camera they are of.
    values : `dict`
        Property name (as of astro-metadata-translator, angles in degrees, times in
        nanoseconds TAI, durations in seconds) to value.

    Returns
    -------
    observation : `Observation`
        The observation.

    Raises
    ------
    HeaderError
        Raised if a needed property is missing, or a value is one the camera or the
        registry does not have.
    """
    exposure_id = whole(values, "exposure_id")
    if exposure_id is None:
        raise HeaderError("exposure_id: no value")
    if not 0 <= exposure_id < camera.limits.exposure:
        raise HeaderError(f"exposure_id {exposure_id} lies outside [0, {camera.limits.exposure})")
    begin = values.get("datetime_begin")
    if begin is None:
        raise HeaderError("datetime_begin: no value")
    if not MIN_NSEC < begin < MAX_NSEC:
        raise HeaderError("datetime_begin lies outside 1970 to 2100")
    exposed = duration(values, "exposure_time")
    requested = duration(values, "exposure_time_requested", exposed)
    if requested is None:
        raise HeaderError("exposure_time: no value")
    end = values.get("datetime_end")
    if end is None:
        end = begin + round((requested if exposed is None else exposed) * _NSEC_PER_S)
    if end >= MAX_NSEC:
        raise HeaderError("datetime_end lies after 2099")
    kind = text(values, "observation_type")
    if not kind:
        raise HeaderError("observation_type: no value")
    offset = whole(values, "observing_day_offset", camera.day_obs_offset_s)
    if offset is not None and abs(offset) > _LARGEST_OFFSET_S:
        raise HeaderError(f"observing_day_offset {offset} is more than {_LARGEST_OFFSET_S} s")
    number = whole(values, "observation_counter")
    reason = text(values, "observation_reason")
    altitude = angle(values, "altitude")
    zenith = angle(values, "zenith_angle", None if altitude is None else 90.0 - altitude)
    ra, dec = _position(values)
    return Observation(
        instrument=camera.name,
        exposure_id=exposure_id,
        detector=find_detector(camera, values.get("detector_num")),
        obs_id=text(values, "observation_id") or str(exposure_id),
        physical_filter=find_filter(camera, values.get("physical_filter")),
        group=text(values, "exposure_group") or str(exposure_id),
        day_obs=_day(values, begin, offset),
        day_obs_offset_s=offset,
        begin_nsec=begin,
        end_nsec=max(begin, end),
        exposure_time_s=requested,
        dark_time_s=duration(values, "dark_time"),
        observation_type=kind,
        observation_reason=reason or ("science" if kind == "science" else "unknown"),
        seq_num=number,
        seq_start=whole(values, "group_counter_start", number),
        seq_end=whole(values, "group_counter_end", number),
        target_name=text(values, "object"),
        science_program=text(values, "science_program"),
        tracking_ra_deg=ra,
        tracking_dec_deg=dec,
        sky_angle_deg=angle(values, "sky_angle"),
        azimuth_deg=angle(values, "azimuth"),
        zenith_angle_deg=zenith,
        has_simulated=logical(values, "has_simulated_content", False),
        can_see_sky=logical(values, "can_see_sky"),
    )


def find_detector(camera: Camera, which: object) -> int:
    """Find a detector by what a header calls it.

    Parameters
    ----------
    camera : `Camera`
        The camera.
    which : `int` or `str`
        Number or full name.

    Returns
    -------
    number : `int`
        Its number.

    Raises
    ------
    HeaderError
        Raised if the camera has no such detector.
    """
    if which is None:
        raise HeaderError("detector_num: no value")
    if isinstance(which, str) and which not in camera.detectors_by_name and which.strip().isdecimal():
        which = int(which)
    table: Any = camera.detectors_by_name if isinstance(which, str) else camera.detectors_by_id
    if not isinstance(which, str | int) or isinstance(which, bool) or which not in table:
        raise HeaderError(f"{camera.name} has no detector {shown(which)}")
    found: int = table[which].id
    return found


def find_filter(camera: Camera, spelling: str | None) -> str:
    """Find a filter by what a header calls it.

    Parameters
    ----------
    camera : `Camera`
        The camera.
    spelling : `str`
        Name or alias.

    Returns
    -------
    name : `str`
        Its name.

    Raises
    ------
    HeaderError
        Raised if the camera has no such filter.
    """
    if not spelling:
        raise HeaderError("physical_filter: no value")
    found = camera.filters_by_spelling.get(str(spelling))
    if found is None:
        raise HeaderError(f"{camera.name} has no filter {shown(spelling)}")
    return found.name


def _position(values: dict[str, Any]) -> tuple[float | None, float | None]:
    ra, dec = angle(values, "tracking_ra"), angle(values, "tracking_dec")
    if ra is None or dec is None:
        return None, None
    frame = str(values.get("tracking_frame", "icrs")).lower()
    if frame != "icrs":
        from astropy import units
        from astropy.coordinates import SkyCoord

        try:
            icrs = SkyCoord(ra * units.deg, dec * units.deg, frame=frame).icrs
        except ValueError as err:
            raise HeaderError(f"tracking_frame: {err}") from err
        ra, dec = float(icrs.ra.deg), float(icrs.dec.deg)
    if not -90.0 <= dec <= 90.0:
        raise HeaderError(f"tracking_dec {dec} lies outside [-90, 90]")
    return ra % 360.0, dec


def _day(values: dict[str, Any], begin_nsec: int, offset_s: int | None) -> int:
    """Read the observing day, or compute it of the time."""
    from datetime import date

    number = whole(values, "observing_day")
    if number is None:
        number = day_of(begin_nsec, offset_s or 0)
    try:
        sound = number in _DAYS and bool(date(number // 10000, number // 100 % 100, number % 100))
    except ValueError:
        sound = False
    if not sound:
        raise HeaderError(f"observing_day {number} is no date YYYYMMDD from 1970 to 2099")
    return number


# --------------------------------------------------------------------- records


def exposure_record(observation: Observation) -> dict[str, Any]:
    """Make the values of an ``exposure`` record.

    Parameters
    ----------
    observation : `Observation`
        Any detector of the exposure.

    Returns
    -------
    record : `dict`
        Column name to value.
    """
    o = observation
    return {
        "instrument": o.instrument,
        "id": o.exposure_id,
        "obs_id": o.obs_id,
        "physical_filter": o.physical_filter,
        "group": o.group,
        "day_obs": o.day_obs,
        "exposure_time": o.exposure_time_s,
        "dark_time": o.dark_time_s,
        "observation_type": o.observation_type,
        "observation_reason": o.observation_reason,
        "seq_num": o.seq_num,
        "seq_start": o.seq_start,
        "seq_end": o.seq_end,
        "target_name": o.target_name,
        "science_program": o.science_program,
        "tracking_ra": o.tracking_ra_deg,
        "tracking_dec": o.tracking_dec_deg,
        "sky_angle": o.sky_angle_deg,
        "azimuth": o.azimuth_deg,
        "zenith_angle": o.zenith_angle_deg,
        "has_simulated": o.has_simulated,
        "can_see_sky": o.can_see_sky,
        "timespan": Timespan.from_nsec(*_padded(o.begin_nsec, o.end_nsec)),
    }


def _padded(begin: int, end: int) -> tuple[int, int]:
    """An instant becomes one nanosecond long, as the field's timespans do."""
    return (begin, end) if end > begin else (begin, begin + 1)


def day_obs_record(observation: Observation) -> dict[str, Any]:
    """Make the values of a ``day_obs`` record.

    Parameters
    ----------
    observation : `Observation`
        Any observation of the day.

    Returns
    -------
    record : `dict`
        Column name to value.
    """
    offset = observation.day_obs_offset_s
    timespan = None if offset is None else Timespan.from_day_obs(observation.day_obs, offset)
    return {"instrument": observation.instrument, "id": observation.day_obs, "timespan": timespan}


def group_record(observation: Observation) -> dict[str, Any]:
    """Make the values of a ``group`` record.

    Parameters
    ----------
    observation : `Observation`
        Any observation of the group.

    Returns
    -------
    record : `dict`
        Column name to value.
    """
    return {"instrument": observation.instrument, "name": observation.group}
