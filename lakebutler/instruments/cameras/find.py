# SPDX-License-Identifier: BSD-3-Clause
"""How a camera is found by its name.

A camera is described by a YAML file (layout: ``docs/instruments.md``).  The files of
this package know HSC, DECam, MegaPrime, the LSST cameras, the obs_test camera and the
simulated demo camera.
Others come from the user: a path to a file, a directory named in
``LAKEBUTLER_CAMERA_PATH``, or an entry point of the group ``lakebutler.cameras``.
They never come from a repository.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from lakebutler.errors import InstrumentError, known_names
from lakebutler.instruments.cameras.camera import Camera
from lakebutler.instruments.cameras.reader import parse_camera

__all__ = ["CAMERA_PATH_VARIABLE", "camera_names", "load_camera"]

CAMERA_PATH_VARIABLE = "LAKEBUTLER_CAMERA_PATH"
"""Environment variable with directories of camera files, separated like ``PATH``."""

_OWN = Path(__file__).parent


def camera_names() -> tuple[str, ...]:
    """List the cameras that `load_camera` finds by name.

    Returns
    -------
    names : `tuple` [`str`]
        Sorted names, without aliases.
    """
    return tuple(sorted({*_camera_files(), *_entry_points()}))


def load_camera(name: str | os.PathLike[str]) -> Camera:
    """Load a camera by name, or from a file of the user's own.

    Parameters
    ----------
    name : `str` or path-like
        Name or alias of a known camera, or the path of a ``.yaml`` file.

    Returns
    -------
    camera : `Camera`
        The camera; the same object for the same unchanged file.

    Raises
    ------
    InstrumentError
        Raised if there is no such camera or its description is wrong.
    """
    text = os.fspath(name)
    if text.endswith((".yaml", ".yml")):
        path = Path(text)
        if not path.is_file():
            raise InstrumentError(f"there is no camera file {text}")
        return _load_file(path)
    files, points = _camera_files(), _entry_points()
    own = files.get(text)
    if own is not None and (text not in points or own.parent != _OWN):
        camera = _load_file(own)
        if camera.name != text:
            raise InstrumentError(f"{own}: the file is named for {text!r}, but its camera is {camera.name!r}")
        return camera
    if text in points:
        return _load_file(_resolve(points[text]))
    aliases = _aliases(tuple(files.values()))
    if text in aliases:
        return _load_file(aliases[text])
    hint = known_names(text, [*files, *points, *aliases], what="cameras")
    raise InstrumentError(f"there is no camera {text!r}", hint=hint)


def _load_file(path: Path) -> Camera:
    stat = path.stat()
    return _load_unchanged(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _load_unchanged(path: Path, mtime_ns: int, size: int) -> Camera:
    del mtime_ns, size  # part of the cache key
    return parse_camera(path.read_text("utf-8"), source=str(path))


def _camera_files() -> dict[str, Path]:
    """Find camera files by name: the user's directories first, then our own."""
    directories = [Path(d) for d in os.environ.get(CAMERA_PATH_VARIABLE, "").split(os.pathsep) if d]
    found: dict[str, Path] = {}
    for directory in [*directories, _OWN]:
        for path in sorted(directory.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


@lru_cache(maxsize=1)
def _entry_points() -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group="lakebutler.cameras")}


def _resolve(point: EntryPoint) -> Path:
    """Get the camera file of an entry point: a path, or a function that gives one."""
    try:
        value = point.load()
        return Path(value() if callable(value) else value)
    except Exception as err:  # whatever the package of others does
        raise InstrumentError(
            f"entry point {point.name!r} of the group lakebutler.cameras failed: {err}",
            hint="mend or uninstall the package that declares it",
        ) from err


def _aliases(paths: tuple[Path, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        with contextlib.suppress(InstrumentError):  # a broken file stands in nobody else's way
            for alias in _load_file(path).aliases:
                found.setdefault(alias, path)
    return found
