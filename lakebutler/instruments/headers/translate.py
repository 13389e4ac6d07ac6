# SPDX-License-Identifier: BSD-3-Clause
"""From the cards of a header to an `Observation`.

A camera either names a translator class of astro-metadata-translator (its own ones, one
of `lakebutler.instruments.headers.translators`, or one of another package by an entry point of
the group ``lakebutler.translators``) or carries header rules.  Both end in the same
checks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping
from collections.abc import Set as AbstractSet
from contextlib import nullcontext
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lakebutler.errors import HeaderError, InstrumentError, known_names
from lakebutler.instruments.cameras.camera import Camera
from lakebutler.instruments.cameras.rules import apply_rules
from lakebutler.instruments.headers.observation import (
    Observation,
    find_detector,
    find_filter,
    observation_from_values,
)
from lakebutler.instruments.headers.translators import OWN_TRANSLATORS
from lakebutler.timespan import time_to_nsec

if TYPE_CHECKING:
    from astro_metadata_translator import MetadataTranslator, ObservationInfo

__all__ = ["accepts", "file_values", "recognise", "require_translator", "translate"]

_REQUIRED = frozenset(
    {
        "datetime_begin", "datetime_end", "detector_num", "exposure_group", "exposure_id",
        "exposure_time_requested", "group_counter_end", "group_counter_start", "has_simulated_content",
        "instrument", "observation_id", "observation_type", "observing_day", "physical_filter",
    }
)  # fmt: skip
_WANTED = _REQUIRED | {
    "altaz_begin", "boresight_rotation_angle", "boresight_rotation_coord", "can_see_sky", "dark_time",
    "object", "observation_counter", "observation_reason", "observing_day_offset", "science_program",
    "tracking_radec",
}  # fmt: skip
_IN_ORDER = (
    "exposure_id", "detector_num", "observation_id", "observation_type", "physical_filter", "datetime_begin",
    "exposure_time_requested", "datetime_end",
)  # fmt: skip
_PLAIN = (
    "can_see_sky", "detector_num", "exposure_group", "exposure_id", "group_counter_end",
    "group_counter_start", "has_simulated_content", "object", "observation_counter", "observation_id",
    "observation_reason", "observation_type", "observing_day", "physical_filter", "science_program",
)  # fmt: skip
_OWN = frozenset({"detector_num", "exposure_id", "observation_id", "physical_filter"})
# What the LSST software writes into the primary header of processed exposures.
_PROCESSED = ("AR_HDU", "EXPINFO_V", "AR_NCAT", "LSST BUTLER RUN", "LSST BUTLER ID")


def accepts(camera: Camera, header: Mapping[str, object], path: str = "") -> bool:
    """Tell whether a header is one of a camera.

    Parameters
    ----------
    camera : `Camera`
        The camera.
    header : `Mapping`
        The cards.
    path : `str`, optional
        Name of the file, which fixes may ask for.

    Returns
    -------
    accepted : `bool`
        Whether the camera can be asked to translate it.
    """
    try:
        header = camera.fix_table.mended(header, path)[0]
    except HeaderError:
        return False  # a fix for another camera's header
    if not all(header.get(card) in values for card, values in camera.header.match):
        return False
    if camera.header.translator is None:
        return True
    try:
        return bool(_translator_class(camera.header.translator).can_translate(header))
    except (KeyError, TypeError, ValueError, AttributeError):
        return False  # a translator stumbled over a header that is not its own


def recognise(header: Mapping[str, object]) -> str | None:
    """Find out whose header this is, among all cameras known by name or translator.

    Parameters
    ----------
    header : `Mapping`
        The cards.

    Returns
    -------
    name : `str` or `None`
        The camera, or what the header calls its instrument.
    """
    from lakebutler.instruments.cameras.find import camera_names, load_camera

    for name in camera_names():
        try:
            if accepts(load_camera(name), header):
                return name
        except InstrumentError:
            continue
    stated = header.get("INSTRUME")
    return stated if isinstance(stated, str) and stated else None


def translate(
    camera: Camera,
    header: Mapping[str, object],
    path: str,
    known: MutableMapping[tuple[str, int], Observation] | None = None,
) -> Observation:
    """Translate a header of a camera.

    Parameters
    ----------
    camera : `Camera`
        Whose header it is.
    header : `Mapping`
        The cards.
    path : `str`
        Name of the file, which rules may use.
    known : `MutableMapping`, optional
        Observations by instrument and exposure, looked at and added to.  Of a further
        detector of a known exposure only what tells detectors apart is translated,
        and what identifies the exposure is compared.

    Returns
    -------
    observation : `Observation`
        The observation.

    Raises
    ------
    HeaderError
        Raised with one line that says why the header cannot be ingested.
    """
    header, given = camera.fix_table.mended(header, path)
    for card in _PROCESSED:
        if card in header:
            raise HeaderError(f"a processed image ({card} in the header), not a raw one")
    for card, allowed in camera.header.require:
        if header.get(card) not in allowed:
            shown = " or ".join(sorted(str(v) for v in allowed))
            raise HeaderError(f"{card} is {header.get(card)!r}; raws have {shown}")
    name = camera.header.translator
    if name is None:
        values = apply_rules(camera.header.rules, header, file_values(camera, path))
        return observation_from_values(camera, {**values, **given})
    own = dict(header)
    if known and not given:
        values = _translated(name, own, _OWN)
        first = known.get((camera.name, values["exposure_id"]))
        if first is not None:
            return _sibling(camera, first, values)
    made = observation_from_values(camera, {**_translated(name, own, _WANTED), **given})
    if known is not None:
        known[made.exposure_key] = made
    return made


def _sibling(camera: Camera, first: Observation, values: Mapping[str, Any]) -> Observation:
    own = (("physical_filter", find_filter(camera, values["physical_filter"]), first.physical_filter),)
    for what, here, there in (*own, ("observation_id", values["observation_id"], first.obs_id)):
        if here != there:
            raise HeaderError(f"{what} is {here!r}, but {there!r} elsewhere in exposure {first.exposure_id}")
    return first.of_detector(find_detector(camera, values["detector_num"]))


def file_values(camera: Camera, path: str) -> Mapping[str, str]:
    """Match a file name against those of a camera.

    Parameters
    ----------
    camera : `Camera`
        The camera.
    path : `str`
        Path or URL of a file.

    Returns
    -------
    values : `Mapping` [`str`, `str`]
        Named groups of the first pattern that fits; empty if none does.
    """
    name = os.path.basename(path.rstrip("/"))
    for pattern in camera.raw.file_names:
        match = pattern.fullmatch(name)
        if match is not None:
            return {key: value for key, value in match.groupdict().items() if value is not None}
    return {}


# --------------------------------------------- through astro-metadata-translator


def require_translator(camera: Camera) -> None:
    """Make sure that the translator a camera names exists.

    Parameters
    ----------
    camera : `Camera`
        The camera.

    Raises
    ------
    InstrumentError
        Raised if it does not.
    """
    if camera.header.translator is not None:
        try:
            _translator_class(camera.header.translator)
        except InstrumentError as err:
            raise InstrumentError(f"camera {camera.name}: {err.message}", hint=err.hint) from err


@lru_cache(maxsize=16)
def _translator_class(name: str) -> type[MetadataTranslator]:
    from importlib.metadata import entry_points

    from astro_metadata_translator import MetadataTranslator

    if name in OWN_TRANSLATORS and name not in MetadataTranslator.translators:
        import_module(OWN_TRANSLATORS[name])
    for point in entry_points(group="lakebutler.translators", name=name):
        try:
            point.load()
        except Exception as err:  # whatever the package of others does
            message = f"entry point {name!r} of the group lakebutler.translators failed: {err}"
            raise InstrumentError(message) from err
    found: type[MetadataTranslator] | None = MetadataTranslator.translators.get(name)
    if found is None:
        hint = known_names(name, MetadataTranslator.translators, what="translators")
        raise InstrumentError(f"there is no header translator {name!r}", hint=hint)
    return found


def _translated(name: str, header: MutableMapping[str, Any], wanted: AbstractSet[str]) -> dict[str, Any]:
    from astro_metadata_translator import ObservationInfo
    from astropy.utils.data import conf

    known = _translator_class(name)
    # Where observatories lie is asked of the network otherwise.
    offline = conf.set_temp("allow_internet", False) if wanted is _WANTED else nullcontext()
    try:
        with offline:
            info = ObservationInfo(
                header,
                translator_class=known,
                required=set(_REQUIRED & wanted),
                subset=set(wanted),
                quiet=True,
            )
    except Exception as err:  # translators raise whatever their arithmetic raises
        raise HeaderError(_first_fault(known, header, wanted) or _one_line(str(err))) from err
    return _values(info)


def _first_fault(known: type[MetadataTranslator], header: Mapping[str, Any], wanted: AbstractSet[str]) -> str:
    """Find the property that cannot be translated, always the same one, and say why."""
    translator = known(header)
    for name in (*_IN_ORDER, *sorted(_REQUIRED.difference(_IN_ORDER))):
        if name not in wanted:
            continue
        try:
            value = getattr(translator, f"to_{name}")()
        except KeyError as err:
            card = str(err.args[0]) if err.args else ""
            plain = re.fullmatch(r"[A-Z0-9_\-]{1,8}", card)
            return f"{name}: no {card} in the header" if plain else f"{name}: {_one_line(card)}"
        except Exception as err:  # noqa: BLE001 - translators raise whatever their arithmetic raises
            return f"{name}: {_one_line(str(err) or type(err).__name__)}"
        if value is None:
            return f"{name}: no value in the header"
    return ""


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]


def _values(info: ObservationInfo) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(info, name) for name in _PLAIN}
    for name in ("datetime_begin", "datetime_end"):
        time = getattr(info, name)
        values[name] = None if time is None else time_to_nsec(time)
    for name in ("exposure_time_requested", "dark_time", "observing_day_offset"):
        duration = getattr(info, name)
        values[name] = None if duration is None else float(duration.to_value("s"))
    if values["observing_day_offset"] is not None:
        values["observing_day_offset"] = round(values["observing_day_offset"])
    if info.tracking_radec is not None:
        position = info.tracking_radec.icrs.data  # attributes of the frame cost 50 times more
        values["tracking_ra"], values["tracking_dec"] = _degrees(position.lon), _degrees(position.lat)
        if info.boresight_rotation_coord == "sky" and info.boresight_rotation_angle is not None:
            values["sky_angle"] = _degrees(info.boresight_rotation_angle)
    if info.altaz_begin is not None:
        values["azimuth"] = _degrees(info.altaz_begin.data.lon)
        values["zenith_angle"] = 90.0 - _degrees(info.altaz_begin.data.lat)
    return values


def _degrees(angle: Any) -> float:
    return float(angle.to_value("deg"))
