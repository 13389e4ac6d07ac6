# SPDX-License-Identifier: BSD-3-Clause
"""What stands beside raw files: ``x.json`` for one file, ``_index.json`` for a directory.

Both are formats of astro-metadata-translator.  They hold either the cards of headers
(``__CONTENT__: metadata``) or what was translated from them (``translated``), which spares
reading the files altogether.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import Any

from lakebutler.errors import ButlerError, HeaderError, StorageError
from lakebutler.instruments.cameras.camera import Camera
from lakebutler.instruments.headers.file import FileResult, Recent, in_utf8, recognised, unforeseen
from lakebutler.instruments.headers.observation import (
    Observation,
    find_detector,
    find_filter,
    observation_from_values,
)
from lakebutler.instruments.headers.translate import require_translator
from lakebutler.instruments.headers.values import shown
from lakebutler.timespan import jd_to_nsec

__all__ = ["INDEX_NAME", "Sidecars", "observation_from_sidecar"]

INDEX_NAME = "_index.json"
"""Name of a file that describes the raw files of a directory."""

_CONTENT, _COMMON = "__CONTENT__", "__COMMON__"
_PACKED = (".gz", ".fz", ".bz2", ".xz")
_CHUNK = 1 << 16
_PARSE: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_LIST_FROM = 9  # files of one directory; for fewer it is not listed
_PLAIN = (
    "can_see_sky", "dark_time", "detector_num", "exposure_group", "exposure_id", "exposure_time",
    "exposure_time_requested", "group_counter_end", "group_counter_start", "has_simulated_content", "object",
    "observation_counter", "observation_id", "observation_reason", "observation_type", "observing_day",
    "observing_day_offset", "physical_filter", "science_program",
)  # fmt: skip


_NOTHING: Mapping[str, object] = {}


class Sidecars:
    """Reads what stands beside files, and remembers what it found.

    Parameters
    ----------
    cameras : sequence of `Camera`
        The cameras whose files are wanted.
    paths : sequence of `str`
        All files that will be asked for; an index named among them stands for the files
        it describes.
    search_indexes : `bool`, optional
        Whether to look for an index in the directories of the files.

    Attributes
    ----------
    notes : `list` [`str`]
        Indexes that could not be used, and why.
    """

    def __init__(
        self, cameras: Sequence[Camera], paths: Sequence[str], *, search_indexes: bool = True
    ) -> None:
        self.notes: list[str] = []
        self._cameras = {spelling: c for c in cameras for spelling in (c.name, *c.aliases)}
        self._wanted = tuple(cameras)
        self._search = search_indexes
        self._known: MutableMapping[tuple[str, int], Observation] = Recent()
        self._indexed: dict[str, Mapping[str, Any]] = {}
        self._failed: dict[str, str] = {}
        self._can_translate = False
        self._listed: dict[str, frozenset[str]] = {}
        self.files = list(dict.fromkeys(self._expanded(paths)))
        self._look_around()

    def _expanded(self, paths: Sequence[str]) -> Iterator[str]:
        """Put the files of an index in its place."""
        for path in paths:
            if not path.endswith(INDEX_NAME) or os.path.basename(path) != INDEX_NAME:
                yield path
                continue
            try:
                found = _read_index(path)
            except HeaderError as err:
                self._failed[path] = err.message
                yield path
                continue
            self._indexed |= found
            yield from found

    def _look_around(self) -> None:
        """Find the indexes and sidecars in the directories of the files."""
        named = self._indexed.copy()  # an index named by the user comes first
        counts = Counter([path.rpartition("/")[0] for path in self.files])
        for directory, count in counts.items():
            names = _names(directory) if count >= _LIST_FROM and "://" not in directory else None
            if names is not None:
                self._listed[directory] = names
            index = f"{directory}/{INDEX_NAME}"
            if self._search and (names is None or INDEX_NAME in names) and _exists(index):
                try:
                    found = _read_index(index)
                except HeaderError as err:
                    self.notes.append(f"{index} is passed over: {err.message}")
                else:
                    self._indexed |= found | {p: named[p] for p in found.keys() & named.keys()}

    def read(self, path: str) -> FileResult | None:
        """Read what stands beside a file.

        Parameters
        ----------
        path : `str`
            The file.

        Returns
        -------
        result : `FileResult` or `None`
            `None` if nothing does, or nothing that spares reading its header.

        Raises
        ------
        InstrumentError
            Raised if there are cards to translate, and a camera's translator does not exist.
        """
        if path in self._failed:
            return FileResult(path, reason=self._failed[path])
        if not (path.isascii() or in_utf8(path)):
            return FileResult(path, reason="its name is not in UTF-8")
        entry = self._indexed.get(path)
        try:
            if entry is None:
                entry = self._own(path)
                if entry is None:
                    return None
            if entry.get(_CONTENT) == "translated":
                return self._translated(path, entry)
        except ButlerError as err:
            return FileResult(path, reason=err.message)
        except Exception as err:  # noqa: BLE001 - one hostile sidecar is one line, not the end
            return FileResult(path, reason=unforeseen(err))
        return self._metadata(path, entry)

    def _own(self, path: str) -> Mapping[str, Any] | None:
        directory, _, name = path.rpartition("/")
        sidecar = f"{name[:-5]}.json" if name.endswith(".fits") else _sidecar_name(name)
        names = self._listed.get(directory)
        if sidecar == name or (names is not None and sidecar not in names):
            return None
        own = f"{directory}/{sidecar}"
        if names is None and not _exists(own):
            return None
        content = _load(own)
        return _checked_content(content, sidecar)

    def _is_there(self, path: str) -> bool:
        """Tell whether a file is there; ingest will find out about remote ones."""
        directory, _, name = path.rpartition("/")
        names = self._listed.get(directory)
        return "://" in path or (os.path.isfile(path) if names is None else name in names)

    def _metadata(self, path: str, entry: Mapping[str, Any]) -> FileResult | None:
        for camera in () if self._can_translate else self._wanted:
            require_translator(camera)
        self._can_translate = True
        cards = {key: value for key, value in entry.items() if value is not None and key != _CONTENT}
        try:
            return recognised(path, cards, self._wanted, self._known)
        except ButlerError as err:
            return FileResult(path, reason=err.message)
        except Exception as err:  # noqa: BLE001 - as above
            return FileResult(path, reason=unforeseen(err))

    def _translated(self, path: str, entry: Mapping[str, Any]) -> FileResult | None:
        stated = entry.get("instrument")
        camera = self._cameras.get(stated) if isinstance(stated, str) else None
        if camera is None:
            wanted = " or ".join(c.name for c in self._wanted)
            return FileResult(
                path, reason=f"the sidecar is of {stated}, not of {wanted}", stranger=str(stated)
            )
        if camera.raw.units != "image":
            return None  # which unit holds which detector stands only in the file
        if not self._is_there(path):
            raise HeaderError("not a regular file" if _is_special(path) else "No such file or directory")
        return FileResult(path, (observation_from_sidecar(camera, entry, path, self._known),))


def observation_from_sidecar(
    camera: Camera,
    entry: Mapping[str, Any],
    path: str,
    known: MutableMapping[tuple[str, int], Observation] | None = None,
) -> Observation:
    """Make an observation of what astro-metadata-translator translated before.

    Parameters
    ----------
    camera : `Camera`
        Whose raw it is.
    entry : `Mapping`
        Property name to simple value: times as two parts of a Julian date TAI, angles in
        degrees, durations in seconds.
    path : `str`
        Name of the raw, which fixes may ask for.
    known : `MutableMapping`, optional
        Observations by instrument and exposure, looked at and added to.

    Returns
    -------
    observation : `Observation`
        The observation.

    Raises
    ------
    HeaderError
        Raised if a value is missing or of a wrong kind.
    """
    fixes = camera.fix_table.of_properties
    given = fixes.mended(entry, path)[1] if fixes.fixes else _NOTHING
    if known and not given:
        number = entry.get("exposure_id")
        first = known.get((camera.name, number)) if type(number) is int else None
        same = first is not None and entry.get("observation_id") == first.obs_id
        if first is not None and same and first.physical_filter == _filter_of(camera, entry):
            return first.of_detector(find_detector(camera, entry.get("detector_num")))
    values = {name: entry[name] for name in _PLAIN if name in entry}
    for name in ("datetime_begin", "datetime_end"):
        if entry.get(name) is not None:
            values[name] = _nsec(entry[name], name)
    position, direction = entry.get("tracking_radec"), entry.get("altaz_begin")
    if position is not None:
        values["tracking_ra"], values["tracking_dec"] = _pair(position, "tracking_radec")
        if entry.get("boresight_rotation_coord") == "sky":
            values["sky_angle"] = entry.get("boresight_rotation_angle")
    if direction is not None:
        values["azimuth"], altitude = _pair(direction, "altaz_begin")
        values["zenith_angle"] = 90.0 - altitude
    made = observation_from_values(camera, {**values, **given})
    if known is not None and not given:
        known[made.exposure_key] = made
    return made


def _filter_of(camera: Camera, entry: Mapping[str, Any]) -> str:
    return find_filter(camera, entry.get("physical_filter"))


def _nsec(value: object, name: str) -> int:
    jd1, jd2 = _pair(value, name)
    try:
        return jd_to_nsec(jd1, jd2)
    except (OverflowError, ValueError):
        raise HeaderError(f"{name}: {shown(value)} is no time") from None


def _pair(value: object, name: str) -> tuple[float, float]:
    if isinstance(value, list) and len(value) == 2 and all(type(v) in (int, float) for v in value):
        with suppress(OverflowError):
            return float(value[0]), float(value[1])
    raise HeaderError(f"{name}: {shown(value)} is no pair of numbers")


# --------------------------------------------------------------------- reading


def _read_index(path: str) -> dict[str, Mapping[str, Any]]:
    """Read an index: absolute path of each file to what is known of it."""
    if "://" not in path and _is_special(path):  # one that was named; those found are plain files
        raise HeaderError(f"{INDEX_NAME} is not a regular file")
    content = _checked_content(_load(path), INDEX_NAME)
    common = content.get(_COMMON)
    if not isinstance(common, dict):
        raise HeaderError(f"{INDEX_NAME} has no {_COMMON}")
    directory = os.path.dirname(path)
    common = {**common, _CONTENT: content[_CONTENT]}
    found: dict[str, Mapping[str, Any]] = {}
    for name, entry in content.items():
        if name in (_CONTENT, _COMMON):
            continue
        if not isinstance(entry, dict):
            raise HeaderError(f"{INDEX_NAME}: {name}: expected a mapping")
        joined = f"{directory}/{name}"
        if "://" not in joined and (".." in name or "//" in joined or "/./" in joined):
            joined = os.path.normpath(joined)
        found[joined] = common | entry
    return found


def _checked_content(content: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise HeaderError(f"{name}: expected a mapping")
    mode = content.setdefault(_CONTENT, "metadata")
    if mode not in ("metadata", "translated"):
        raise HeaderError(f"{name}: {_CONTENT} is {mode!r}, not metadata or translated")
    return content


def _load(path: str) -> Any:
    try:
        if "://" in path:
            from fsspec.core import url_to_fs

            filesystem, name = url_to_fs(path)
            return json.loads(filesystem.cat_file(name))
        data = _read_bytes(path)
        if data[:1] == b"{" and data[-1:] == b"}":  # what others write: spares a quarter of the time
            text = data.decode()
            with suppress(StopIteration):
                content, end = _PARSE(text, 0)
                if end == len(text):
                    return content
        return json.loads(data)
    except (ValueError, RecursionError):
        raise HeaderError(f"{os.path.basename(path)} is not valid JSON") from None
    except OSError as err:
        raise HeaderError(f"{os.path.basename(path)}: {err.strerror or err}") from err


def _read_bytes(path: str) -> bytes:
    """Read a small file; half the cost of a file object, which counts where there are many."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        first = os.read(descriptor, _CHUNK)
        if len(first) < _CHUNK:
            return first
        parts = [first]
        while part := os.read(descriptor, _CHUNK):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _sidecar_name(name: str) -> str:
    stem, ending = os.path.splitext(name)
    return f"{os.path.splitext(stem)[0] if ending in _PACKED else stem}.json"


def _exists(path: str) -> bool:
    if "://" not in path:
        return os.path.isfile(path)
    from fsspec.core import url_to_fs

    try:
        filesystem, name = url_to_fs(path)
        return bool(filesystem.exists(name))
    except Exception as err:  # the libraries of stores have errors of their own
        raise StorageError(f"cannot look for {path}: {' '.join(str(err).split())}") from err


def _is_special(path: str) -> bool:
    """Whether there is something under that name that is no plain file: a pipe, a directory."""
    return os.path.exists(path) and not os.path.isfile(path)


def _names(directory: str) -> frozenset[str]:
    names: frozenset[str] = frozenset()
    with suppress(OSError), os.scandir(directory or ".") as entries:
        names = frozenset(entry.name for entry in entries if entry.is_file())
    return names
