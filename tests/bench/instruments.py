# SPDX-License-Identifier: BSD-3-Clause
"""Ingest of raws: files with sidecars, files with FITS headers, and what astropy alone takes.

::

    python tests/bench/instruments.py --work /fast/disk --sizes 1000,10000,100000 --fits 1000

Times are CPU seconds of this process (``time.process_time``), so that a busy machine shows
the same.  A sidecar run has exposures of LSSTCam with 189 detectors each, described by one
``_index.json`` per exposure (``index``) or one JSON file per raw (``sidecar``); raws are
empty files and stay where they are.  ``commit`` is the part from the first change to the
end, but for ``sizes``, the `os.stat` of every file, which takes the longer the slower the
disk is; ``again`` is the same call when everything is there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lakebutler import Butler
from lakebutler.instruments import ingest_raws, load_camera, register_instrument

DETECTORS = 189


class Stages:
    """Takes the time at which each stage of a call begins."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    def start(self, what: str, total: int | None = None) -> None:
        """Begin a stage."""
        self.at[what] = time.process_time()

    def advance(self, steps: int = 1) -> None:
        """Count nothing."""

    def finish(self) -> None:
        """End a stage."""
        self.at["end"] = time.process_time()


def cpu(act: Callable[[], Any]) -> float:
    """CPU seconds that something takes."""
    begin = time.process_time()
    act()
    return time.process_time() - begin


def translated(exposure: int, detector: int) -> dict[str, Any]:
    """What a sidecar says of one raw."""
    begin = 0.25 + (exposure % 100_000) * 4e-4
    return {
        "instrument": "LSSTCam",
        "exposure_id": exposure,
        "visit_id": exposure,
        "detector_num": detector,
        "detector_exposure_id": exposure * 1000 + detector,
        "observation_id": f"MC_O_{exposure // 100_000}_{exposure % 100_000:06d}",
        "physical_filter": "i_39",
        "datetime_begin": [2460781.0, begin],
        "datetime_end": [2460781.0, begin + 3.5e-4],
        "exposure_time": 30.0,
        "exposure_time_requested": 30.0,
        "dark_time": 30.9,
        "boresight_airmass": 1.1,
        "boresight_rotation_angle": 28.9,
        "boresight_rotation_coord": "sky",
        "tracking_radec": [198.79, -23.61],
        "altaz_begin": [270.3, 53.5],
        "object": "Vela",
        "science_program": "BLOCK-417",
        "observation_type": "science",
        "observation_reason": "survey",
        "exposure_group": str(exposure),
        "observing_day": exposure // 100_000,
        "observing_day_offset": 43200,
        "observation_counter": exposure % 100_000,
        "group_counter_start": exposure % 100_000,
        "group_counter_end": exposure % 100_000,
        "has_simulated_content": False,
        "can_see_sky": True,
    }


def write_with_sidecars(root: Path, count: int, *, index: bool) -> None:
    """Write empty raws and what stands beside them."""
    camera = load_camera("LSSTCam")
    for first in range(0, count, DETECTORS):
        number = first // DETECTORS + 1
        exposure = 2025041500000 + number
        folder = root / f"{number:05d}"
        folder.mkdir(parents=True)
        entries = {}
        for detector in range(min(DETECTORS, count - first)):
            name = f"MC_O_20250415_{number:06d}_{camera.detector(detector).name}"
            (folder / f"{name}.fits").touch()
            entries[name] = translated(exposure, detector)
        if index:
            some = next(iter(entries.values()))
            common = {k: v for k, v in some.items() if all(e[k] == v for e in entries.values())}
            content = {"__CONTENT__": "translated", "__COMMON__": common}
            for name, entry in entries.items():
                content[f"{name}.fits"] = {k: v for k, v in entry.items() if k not in common}
            (folder / "_index.json").write_text(json.dumps(content))
        else:
            for name, entry in entries.items():
                (folder / f"{name}.json").write_text(json.dumps(entry | {"__CONTENT__": "translated"}))


def repository(root: Path) -> Butler:
    """An empty repository that knows LSSTCam."""
    shutil.rmtree(root, ignore_errors=True)
    butler = Butler.from_config(Butler.makeRepo(root), writeable=True)
    register_instrument(butler, "LSSTCam")
    return butler


def measure_sidecars(work: Path, count: int, kind: str) -> Iterator[tuple[str, float]]:
    """Ingest files with sidecars, and once more."""
    raws = work / f"{kind}-{count}"
    shutil.rmtree(raws, ignore_errors=True)
    write_with_sidecars(raws, count, index=kind == "index")
    butler = repository(work / "repository")
    stages, sizes = Stages(), [0.0]
    look = butler._datastore.ingest

    def looked(*args: Any) -> Any:
        begin = time.process_time()
        try:
            return look(*args)
        finally:
            sizes[0] += time.process_time() - begin

    butler._datastore.ingest = looked

    def ingest() -> None:
        report = ingest_raws(butler, raws, transfer="direct", progress=stages)
        assert len(report.files) == count
        assert not report.rejected

    total = cpu(ingest)
    yield "all", total
    yield "read", stages.at["ingesting"] - stages.at["reading headers"]
    yield "sizes", sizes[0]
    yield "commit", stages.at["end"] - stages.at["ingesting"] - sizes[0]
    yield "again", cpu(ingest)
    shutil.rmtree(raws)


def write_fits(root: Path, count: int, *, detectors: int) -> list[Path]:
    """Write small raws of LSSTCam with about as many cards as real ones."""
    import numpy as np
    from astropy.io import fits

    root.mkdir(parents=True)
    camera = load_camera("LSSTCam")
    image = fits.ImageHDU(np.zeros((4, 4), np.int32), name="Segment10")
    paths = []
    for at in range(count):
        number, detector = at // detectors + 1, camera.detector(at % detectors)
        header = fits.Header({f"FILL{i:04d}": i * 1.5 for i in range(90)})
        header.update(
            {
                "INSTRUME": "lsstCam", "TELESCOP": "Simonyi Survey Telescope", "IMGTYPE": "OBJECT",
                "OBSID": f"MC_O_20250609_{number:06d}", "CONTRLLR": "O", "SEQNUM": number,
                "DAYOBS": "20250609",
                "DATE-OBS": "2025-06-10T07:31:55.280", "DATE": "2025-06-10T07:32:26.225",
                "MJD-BEG": 60836.3 + number * 4e-4, "DATE-BEG": "2025-06-10T07:31:55.280",
                "DATE-END": "2025-06-10T07:32:25.280", "TIMESYS": "TAI", "EXPTIME": 30.0, "DARKTIME": 30.9,
                "GROUPID": f"2025-06-10T07:31:{number % 60:02d}.{number % 1000:03d}", "FILTER": "y_10",
                "RAFTBAY": detector.raft, "CCDSLOT": detector.name_in_raft, "ROTPA": 131.3, "ROTCOORD": "sky",
                "RA": 320.6, "DEC": -17.9, "RADESYS": "ICRS", "TRACKSYS": "RADEC", "CURINDEX": 1,
                "MAXINDEX": 1, "PROGRAM": "BLOCK-365", "OBJECT": "Rubin_SV", "AZSTART": 60.2,
                "ELSTART": 67.9, "VIGN_MIN": "NO",
            }
        )  # fmt: skip
        path = root / f"MC_O_20250609_{number:06d}_{detector.name}.fits"
        fits.HDUList([fits.PrimaryHDU(header=header), image]).writeto(path)
        paths.append(path)
    return paths


def measure_fits(work: Path, count: int, detectors: int) -> Iterator[tuple[str, float]]:
    """Ingest files by their headers; the same with astropy and astro-metadata-translator alone."""
    from astro_metadata_translator import ObservationInfo
    from astropy.io import fits

    raws = work / f"fits-{detectors}"
    shutil.rmtree(raws, ignore_errors=True)
    paths = write_fits(raws, count, detectors=detectors)
    butler = repository(work / "repository")
    camera = load_camera("LSSTCam")
    ingest_raws(butler, paths[0], transfer="direct")  # imports

    def ours() -> None:
        assert not ingest_raws(butler, paths, transfer="direct").rejected

    def headers() -> list[Any]:
        found = []
        for path in paths:
            with fits.open(path) as hdus:
                found.append(hdus[0].header + hdus[1].header)
        return found

    yield "ingest", cpu(ours)
    yield "astropy: open and read the headers", cpu(headers)
    merged = headers()
    yield "translators alone: every property", cpu(lambda: [ObservationInfo(h, quiet=True) for h in merged])
    assert camera.name == "LSSTCam"
    shutil.rmtree(raws)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "lakebutler-instruments")
    parser.add_argument("--sizes", default="1000,10000,100000", help="numbers of files with sidecars")
    parser.add_argument("--fits", type=int, default=1000, help="number of FITS files")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    args.work.mkdir(parents=True, exist_ok=True)
    print("| files | beside them | what | CPU s | files/s |\n|---:|---|---|---:|---:|")
    for size in [int(text) for text in args.sizes.split(",") if text]:
        for kind in ("index", "sidecar"):
            for what, seconds in measure_sidecars(args.work, size, kind):
                print(f"| {size:,} | {kind} | {what} | {seconds:.3f} | {size / seconds:,.0f} |", flush=True)
    for detectors in (1, DETECTORS) if args.fits else ():
        for what, seconds in measure_fits(args.work, args.fits, detectors):
            kind = f"FITS, {detectors} per exposure"
            print(
                f"| {args.fits:,} | {kind} | {what} | {seconds:.3f} | {args.fits / seconds:,.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
