# SPDX-License-Identifier: BSD-3-Clause
"""From raw files to observations: open, recognise the camera, translate.

A file that cannot be used is a result like any other: its reason, in one line.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import IO, NamedTuple

from lakebutler.errors import ButlerError, FileFormatError, HeaderError
from lakebutler.instruments.cameras.camera import Camera
from lakebutler.instruments.headers.fits_cards import HeaderUnit, read_units
from lakebutler.instruments.headers.observation import Observation
from lakebutler.instruments.headers.translate import accepts, recognise, translate

__all__ = ["FileResult", "Recent", "in_utf8", "read_file", "recognised", "unforeseen"]

_EXPOSURES_KEPT = 64
_NAMED = 4  # cameras that a reason names one by one


class FileResult(NamedTuple):
    """What reading the header of one file gave.

    Attributes
    ----------
    path : `str`
        The file.
    observations : `tuple` [`Observation`]
        One per detector in the file; empty if it was rejected.
    units : `tuple` [`int`]
        Number of each detector's header/data unit, where the file holds several
        detectors; otherwise empty.
    reason : `str`
        Why it was rejected.
    stranger : `str`
        Name of the instrument it is of, if that is not among the cameras given.
    """

    path: str
    observations: tuple[Observation, ...] = ()
    units: tuple[int, ...] = ()
    reason: str = ""
    stranger: str = ""


class Recent(dict[tuple[str, int], Observation]):
    """Observations of the exposures met last."""

    def __setitem__(self, key: tuple[str, int], value: Observation) -> None:
        if len(self) >= _EXPOSURES_KEPT:
            del self[next(iter(self))]
        super().__setitem__(key, value)


def read_file(
    path: str, cameras: Sequence[Camera], known: MutableMapping[tuple[str, int], Observation] | None = None
) -> FileResult:
    """Read the headers of one file and translate them.

    Parameters
    ----------
    path : `str`
        Local path or URL.
    cameras : sequence of `Camera`
        The cameras whose files are wanted.
    known : `MutableMapping`, optional
        Observations by instrument and exposure, looked at and added to: the detectors
        of one exposure are then translated in full only once.

    Returns
    -------
    result : `FileResult`
        Its observations, or the reason why there are none.
    """
    if not in_utf8(path):
        return FileResult(path, reason="its name is not in UTF-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # translators and astropy comment on old headers
        try:
            with _opened(path) as (stream, size):
                units = list(read_units(stream, size))
            return _translate_units(path, units, cameras, {} if known is None else known)
        except ButlerError as err:
            return FileResult(path, reason=err.message)
        except OSError as err:
            return FileResult(path, reason=_plain(err))
        except Exception as err:  # noqa: BLE001 - the libraries of stores have errors of their own
            return FileResult(path, reason=_plain(err) if "://" in path else unforeseen(err))


def in_utf8(path: str) -> bool:
    """Tell whether a name can be kept in a repository.

    Parameters
    ----------
    path : `str`
        As the system gives it.

    Returns
    -------
    fits : `bool`
        `False` if some of its bytes are no UTF-8.
    """
    if not path.isascii():
        try:
            path.encode()
        except UnicodeEncodeError:
            return False
    return True


def unforeseen(err: Exception) -> str:
    """Say in one line that a file met an error nobody thought of.

    Parameters
    ----------
    err : `Exception`
        The error.

    Returns
    -------
    reason : `str`
        Its type and what it says.
    """
    said = " ".join(str(err).split())[:200]
    return f"cannot be understood ({type(err).__name__}: {said})"


def _plain(err: Exception) -> str:
    """Make one line of what an operating system or a store says."""
    if isinstance(err, FileNotFoundError):
        return "No such file or directory"
    said = getattr(err, "strerror", None) or str(err)
    return " ".join(str(said or type(err).__name__).split())


@contextmanager
def _opened(path: str) -> Iterator[tuple[IO[bytes], int | None]]:
    if "://" not in path:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for its writer
            raise FileFormatError("Is a directory" if os.path.isdir(path) else "not a regular file")
        with open(path, "rb") as stream:
            yield stream, os.fstat(stream.fileno()).st_size
        return
    from fsspec.core import url_to_fs

    filesystem, name = url_to_fs(path)
    with filesystem.open(name, "rb", cache_type="readahead", block_size=256 * 1024) as stream:
        yield stream, filesystem.size(name)


def _translate_units(
    path: str,
    units: Sequence[HeaderUnit],
    cameras: Sequence[Camera],
    known: MutableMapping[tuple[str, int], Observation],
) -> FileResult:
    primary = units[0].cards
    image = next((u for u in units if u.has_image), None)
    if image is None:
        raise FileFormatError("holds no image")
    header = primary if image.index == 0 else primary | image.cards
    camera = next((c for c in cameras if accepts(c, header, path)), None)
    if camera is None or camera.raw.units == "image":
        return _of_one(path, header, camera, cameras, known)
    own = _detector_units(camera, units)
    if not own:
        raise HeaderError(f"no unit with {camera.raw.unit_key}")
    key = camera.raw.unit_key
    observations = tuple(translate(camera, primary | unit.cards | {key: v}, path, known) for unit, v in own)
    seen = set[int]()
    for observation in observations:
        if observation.exposure_key != observations[0].exposure_key:
            raise HeaderError(f"holds exposures {observations[0].exposure_id} and {observation.exposure_id}")
        if observation.detector in seen:
            raise HeaderError(f"holds detector {observation.detector} twice")
        seen.add(observation.detector)
    return FileResult(path, observations, tuple(unit.index for unit, _ in own))


def recognised(
    path: str,
    header: Mapping[str, object],
    cameras: Sequence[Camera],
    known: MutableMapping[tuple[str, int], Observation],
) -> FileResult | None:
    """Translate a header that was read elsewhere.

    Parameters
    ----------
    path : `str`
        The file.
    header : `Mapping`
        Its cards.
    cameras : sequence of `Camera`
        The cameras whose files are wanted.
    known : `MutableMapping`
        Observations by instrument and exposure, looked at and added to.

    Returns
    -------
    result : `FileResult` or `None`
        `None` if the file may hold several detectors: then it has to be read.

    Raises
    ------
    HeaderError
        Raised if the header cannot be translated.
    """
    camera = next((c for c in cameras if accepts(c, header, path)), None)
    if camera is not None and camera.raw.units != "image":
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _of_one(path, header, camera, cameras, known)


def _of_one(
    path: str,
    header: Mapping[str, object],
    camera: Camera | None,
    cameras: Sequence[Camera],
    known: MutableMapping[tuple[str, int], Observation],
) -> FileResult:
    if camera is None:
        return _stranger(path, header, cameras)
    return FileResult(path, (translate(camera, header, path, known),))


def _detector_units(camera: Camera, units: Sequence[HeaderUnit]) -> list[tuple[HeaderUnit, object]]:
    """Select the units that hold a detector of the camera, and what their key says."""
    raw, found = camera.raw, []
    for unit in units:
        if not unit.has_image:
            continue
        value = unit.cards.get(raw.unit_key)
        if raw.unit_pattern is not None:
            value = next((v for v in unit.values(raw.unit_key) if raw.unit_pattern.fullmatch(str(v))), None)
        if value is None or (
            raw.ignore_from is not None and isinstance(value, int) and value >= raw.ignore_from
        ):
            continue
        found.append((unit, value))
    return found


def _stranger(path: str, header: Mapping[str, object], cameras: Sequence[Camera]) -> FileResult:
    name = recognise(header)
    wanted = " or ".join(c.name for c in cameras)
    if len(cameras) > _NAMED:
        wanted = f"any of the {len(cameras)} cameras registered here"
    if name is None:
        return FileResult(path, reason=f"the header is of no known camera (wanted: {wanted or 'none'})")
    reason = f"the header is of {name}, not of {wanted}" if wanted else f"the header is of {name}"
    return FileResult(path, reason=reason, stranger=name)
