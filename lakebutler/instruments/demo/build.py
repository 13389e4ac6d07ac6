# SPDX-License-Identifier: BSD-3-Clause
"""The demo: a small repository from raw files to calibrated pixels, in a few seconds.

It goes through the package as a user would: simulate two nights, make a repository,
register the camera, ingest, combine calibrations and certify them, chain collections,
get an image and its calibrations back, ask, and draw the focal plane.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lakebutler.collections.collection import CollectionType
from lakebutler.errors import RepositoryExistsError
from lakebutler.instruments.cameras.find import load_camera
from lakebutler.instruments.cameras.geometry import detector_corners
from lakebutler.instruments.cameras.register import raw_run_name, register_instrument
from lakebutler.instruments.demo.calibrations import CALIB, CERTIFIED, make_calibrations, reduced
from lakebutler.instruments.demo.simulate import CAMERA, simulate_raws
from lakebutler.instruments.raws.ingest import ingest_raws
from lakebutler.progress import NullProgress, Progress
from lakebutler.viz.focal_plane import Tile, save_focal_plane

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler

__all__ = ["DemoReport", "build_demo"]

DEFAULTS = f"{CAMERA}/defaults"
SHOWN = 2026031400008
"""The exposure that is drawn."""

WHERE = "band = 'r' AND exposure.sky_angle > 45 AND detector.purpose = 'SCIENCE'"
SQL = (
    "SELECT physical_filter, count(*) AS raws FROM raw JOIN exposure USING (instrument, exposure) "
    "GROUP BY physical_filter ORDER BY physical_filter"
)
_MARKER = ".lakebutler-demo"


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demo made.

    Attributes
    ----------
    root : `str`
        The repository.
    picture : `str`
        The focal plane of one exposure, PNG.
    lines : `tuple` [`str`]
        What was made, for a person.
    commands : `tuple` [`str`]
        What to type next.
    seconds : `Mapping` [`str`, `float`]
        How long each step took.
    """

    root: str
    picture: str
    lines: tuple[str, ...]
    commands: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join([*self.lines, "", "Try next:", *(f"  {command}" for command in self.commands)])


def build_demo(
    directory: str | os.PathLike[str], progress: Progress | None = None, *, replace: bool = False
) -> DemoReport:
    """Build the demo.

    Parameters
    ----------
    directory : `str` or path-like
        Where it goes: a new or empty directory.
    progress : `Progress`, optional
        Told of the steps.
    replace : `bool`, optional
        Remove an earlier demo from there first.  Anything else is left alone.

    Returns
    -------
    report : `DemoReport`
        What was made.

    Raises
    ------
    RepositoryExistsError
        Raised if the directory is not empty.
    """
    from lakebutler.butler.butler import Butler

    place = _prepare(Path(directory), replace=replace)
    watch = progress or NullProgress()
    clock = _Clock()
    raws = simulate_raws(place / "raws", progress=watch)
    clock.lap("simulate")
    root = Butler.makeRepo(place / "repo")
    with Butler.from_config(root, writeable=True) as butler:
        register_instrument(butler, CAMERA)
        clock.lap("create")
        report = ingest_raws(butler, place / "raws", transfer="auto", progress=watch)
        clock.lap("ingest")
        made = make_calibrations(butler, watch)
        butler.collections.register(DEFAULTS, CollectionType.CHAINED)
        butler.collections.redefine_chain(DEFAULTS, [raw_run_name(load_camera(CAMERA)), CALIB])
        clock.lap("calibrate")
        image, names = _get_back(butler)
        found = butler.query_datasets("raw", collections=DEFAULTS, where=WHERE, instrument=CAMERA)
        clock.lap("get and query")
        counts = _plain_duckdb(Path(root))
        clock.lap("duckdb")
        picture = place / "focal_plane.png"
        _draw(butler, picture)
        clock.lap("draw")
        version = butler.version
    shown = ", ".join(f"{name} {count}" for name, count in counts)
    count = len(load_camera(CAMERA).detectors)
    lines = (
        f"raw files     {len(raws)} FITS files of two nights, {_megabytes(raws):.0f} MB, in {place / 'raws'}",
        f"repository    {root}: version {version}, no server and no database file",
        f"camera        {CAMERA}: {count} detectors, described by one YAML file",
        f"ingested      {report.datasets} raws, {report.exposures_added} exposures, one commit: {report.run}",
        f"calibrations  {made['bias']} biases and {made['flat']} flats, certified by night in {CERTIFIED}",
        f"collections   {DEFAULTS} = {' + '.join([raw_run_name(load_camera(CAMERA)), CALIB])}",
        f"get           {image}; its calibrations: {names}",
        f"where         {WHERE}: {len(found)} raws",
        f"plain DuckDB  raws per filter, from registry/views.sql: {shown}",
        f"picture       {picture}",
    )
    commands = (
        f"lakebutler query-datasets {root} raw --where \"band = 'i' AND detector = 4\"",
        f'lakebutler -R {root} sql "SELECT observation_type, count(*) FROM exposure GROUP BY ALL"',
        f"lakebutler -R {root} plot focal-plane --exposure 2026031500009",
    )
    return DemoReport(root, str(picture), lines, commands, clock.laps)


class _Clock:
    """How long the steps take."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now


def _prepare(place: Path, *, replace: bool) -> Path:
    place = place.expanduser().absolute()
    if replace and (place / _MARKER).is_file():
        shutil.rmtree(place)
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise RepositoryExistsError(
            f"{place} is there already, and not empty", hint="name another directory for the demo"
        )
    place.mkdir(parents=True, exist_ok=True)
    (place / _MARKER).write_text("Made by `lakebutler demo`, which may remove this directory.\n")
    return place


def _megabytes(paths: Iterable[Path]) -> float:
    return sum(path.stat().st_size for path in paths) / 1e6


# ------------------------------------------------------------------- the steps


def _get_back(butler: Butler) -> tuple[str, str]:
    """Get one image, and the calibrations that are valid for it."""
    key = {"instrument": CAMERA, "exposure": SHOWN, "detector": 4}
    raw = butler.find_dataset("raw", key, collections=DEFAULTS)
    assert raw is not None
    image = butler.get(raw)
    refs = [butler.find_dataset(name, raw.dataId, collections=DEFAULTS) for name in ("bias", "flat")]
    height, width = image.data.shape
    shown = f"raw of exposure {SHOWN} detector 4: {width} x {height} {image.data.dtype}"
    return shown, ", ".join(f"{ref.datasetType.name} of {ref.run.rpartition('/')[2]}" for ref in refs if ref)


def _plain_duckdb(root: Path) -> Sequence[tuple[str, int]]:
    """Ask with nothing but DuckDB and the views of the repository."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("SET file_search_path = $1", [str(root)])
        connection.execute((root / "registry" / "views.sql").read_text())
        rows: Sequence[tuple[str, int]] = connection.execute(SQL).fetchall()
    return rows


def _draw(butler: Butler, picture: Path) -> None:
    """Draw one exposure, with bias and flat taken out."""
    tiles = []
    for detector in load_camera(CAMERA).detectors:
        assert detector.placement is not None
        key = {"instrument": CAMERA, "exposure": SHOWN, "detector": detector.id}
        ref = butler.find_dataset("raw", key, collections=DEFAULTS)
        assert ref is not None
        bias, flat = (butler.get(name, ref.dataId, collections=DEFAULTS) for name in ("bias", "flat"))
        corners = detector_corners(detector.placement).tolist()
        tiles.append(Tile(detector.name, corners, pixels=reduced(detector, butler.get(ref), bias, flat)))
    (row,) = (
        r.toDict() for r in butler.query_dimension_records("exposure", instrument=CAMERA, exposure=SHOWN)
    )
    facts = f"{row['target_name']}, {row['physical_filter']}, {row['exposure_time']:.0f} s"
    save_focal_plane(
        tiles,
        picture,
        title=f"{CAMERA} exposure {SHOWN}",
        subtitle=f"{facts}; bias and flat removed",
        label="signal [adu]",
    )
