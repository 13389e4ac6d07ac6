# SPDX-License-Identifier: BSD-3-Clause
"""Translators of the LSST cameras: real headers, real registries, and the rules by themselves."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakebutler.errors import HeaderError
from lakebutler.instruments import load_camera
from lakebutler.instruments.headers.file import read_file
from lakebutler.instruments.headers.observation import Observation, exposure_record
from lakebutler.instruments.headers.translate import accepts, recognise, translate
from lakebutler.instruments.headers.translators.lsst_rules import (
    exposure_number,
    group_range,
    is_simulated,
    join_filters,
    pacific_midnight_s,
)

LSST = ("LSSTCam", "LSSTComCam", "LATISS", "LSSTCamSim", "LSSTComCamSim", "LSSTCam-imSim")
# File of the header: camera, exposure, detector, filter, group, day, type, first and last counter.
KNOWN_FACTS = """
comCam-CC_C_20190530_000001_R22_S00
  LSSTComCam 3019053000001 0 unknown 3019053000001 20190530 bias 1 1
comCam-CC_H_20100217_006001_R22_S00
  LSSTComCam 4010021706001 0 g_01 4010021706001 20100217 science 6001 6001
comCamSim-CC_S_20240321_000093_R22_S22
  LSSTComCamSim 2026032100093 8 r_03 2024-03-22T03:41:54.994 20260321 science 93 93
comCamSim-IM_P_20240117_000000_R22_S00
  LSSTComCamSim 5024011700000 0 r_03 5024011700000 20240117 bias 5024011700000 5024011700000
imsim-dark-lsst_a_4010003_R11_S11
  LSSTCam-imSim 4010003 40 i_sim_1.4 4010003 20211231 science 4010003 4010003
imsim-flats-lsst_a_5000007_R11_S20_i
  LSSTCam-imSim 5000007 42 i_sim_1.4 5000007 20220805 flat 5000007 5000007
latiss-2018-09-20-05700065-det000
  LATISS 3018092000065 0 unknown~unknown 3018092000065 20180920 unknown 65 65
latiss-AT_C_20220426_000004_R00_S00
  LATISS 3022042600004 0 unknown~unknown 3022042600004 20220426 unknown 4 4
latiss-AT_O_20190915_000037
  LATISS 2019091500037 0 unknown~unknown bias_0027_0100 20190915 bias 37 37
latiss-AT_O_20191104_000003
  LATISS 2019110400003 0 unknown~unknown TEST01 20191104 engtest 3 3
latiss-AT_O_20191113_000061
  LATISS 2019111300061 0 empty~ronchi90lpmm wave,Focus,455,32.0PH=5um 20191113 engtest 61 61
latiss-AT_O_20220405_000349
  LATISS 2022040500349 0 SDSSr~empty 2022-04-06T02:58:07.181 20220405 science 348 349
latiss-AT_O_20230321_000053
  LATISS 2023032100053 0 empty~empty 2023-03-21T16:11:07.633 20230321 dark 53 53
latiss-AT_O_20240624_000106_R00_S00
  LATISS 2024062400106 0 SDSSr_65mm~empty 2024-06-25T01:26:31.895#1 20240624 cwfs 106 106
lsstCam-MC_C_20190319_000001_R22_S21
  LSSTCam 3019031900001 97 unknown 3019031900001 20190319 bias 1 1
lsstCam-MC_C_20190322_000002_R10_S22
  LSSTCam 3019032200002 35 SDSSi~ND_OD0.5 3019032200002 20190322 flat 2 2
lsstCam-MC_C_20231107_000078_R01_S01
  LSSTCam 2023110700078 1 ph_5 2023110700078 20231107 bias 78 78
lsstCam-MC_O_20250415_000060_R01_S01
  LSSTCam 2025041500060 1 i_39 2025-04-16T00:53:10.143 20250415 acq 60 60
lsstCam-MC_O_20251121_000156_R44_SW0
  LSSTCam 2025112100156 203 i_39 2025-11-22T03:25:16.951 20251121 science 156 156
lsstCamSim-MC_S_20240321_000720_R22_S11
  LSSTCamSim 7024032100720 94 r_57 7024032100720 20240321 science 720 720
"""
LINES = KNOWN_FACTS.strip().splitlines()
KNOWN = dict(zip(LINES[::2], LINES[1::2], strict=True))


@pytest.fixture(scope="module")
def header_of(shared_data: Path) -> Callable[[str], dict[str, Any]]:
    """A real header, without the cards that have no value."""
    from astro_metadata_translator.tests import read_test_file

    def read(name: str) -> dict[str, Any]:
        (path,) = (shared_data / "headers/obs_lsst").glob(f"{name}.*")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = read_test_file(str(path))
        return {k: v for k, v in header.items() if isinstance(v, str | int | float | bool)}

    return read


def observed(header: dict[str, Any]) -> Observation:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (camera,) = [c for c in map(load_camera, LSST) if accepts(c, header)]
        return translate(camera, header, "a.fits")


@pytest.mark.parametrize("name", KNOWN)
def test_a_real_header_gives_the_known_facts(name: str, header_of: Callable[..., Any]) -> None:
    o = observed(header_of(name))
    facts = (o.instrument, o.exposure_id, o.detector, o.physical_filter, o.group, o.day_obs)
    assert [str(v) for v in (*facts, o.observation_type, o.seq_start, o.seq_end)] == KNOWN[name].split()


def test_the_second_snap_of_a_visit_is_as_its_exported_record(
    header_of: Callable[..., Any], shared_data: Path
) -> None:
    real = json.loads((shared_data / "obs_base/visits/exp_v7_349.json").read_text())["record"]
    ours = exposure_record(observed(header_of("latiss-AT_O_20220405_000349")))
    assert list(ours.pop("timespan").nsec) == pytest.approx(real.pop("timespan"), abs=1000)
    own = {"instrument", "physical_filter"}  # the record is of another camera's name
    for key in set(real) - own:
        assert ours[key] == (
            pytest.approx(real[key], abs=1e-10) if isinstance(real[key], float) else real[key]
        ), key


@pytest.mark.parametrize("repository", ["latiss", "lsstCam"])
def test_raws_of_real_repositories_give_their_registered_records(repository: str, shared_data: Path) -> None:
    root = shared_data / "gen3_repos" / repository
    connection = sqlite3.connect(f"file:{root}/gen3.sqlite3?mode=ro&immutable=1", uri=True)
    connection.row_factory = sqlite3.Row
    stored = {row["id"]: dict(row) for row in connection.execute("SELECT * FROM exposure")}
    connection.close()
    cameras = [load_camera(name) for name in LSST]
    seen = set()
    for path in sorted(root.rglob("raw/**/*.fits")):
        (o,) = read_file(str(path), cameras).observations
        real = stored.get(o.exposure_id)
        if real is None:
            continue  # a file that the registry does not know
        seen.add(o.exposure_id)
        ours = exposure_record(o)
        assert ours.pop("timespan").nsec == (real["timespan_begin"], real["timespan_end"])
        ours["group_name"] = ours.pop("group")
        for key in set(real) & set(ours):
            assert ours[key] == real[key], key
    assert seen == set(stored)


def test_headers_of_test_stands_are_of_no_camera_here(header_of: Callable[..., Any]) -> None:
    header = header_of("ts8-TS_C_20230525_000041_R22_S00")
    assert not any(accepts(load_camera(name), header) for name in LSST)
    assert recognise(header) == "LSST-TS8"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "lsstCam-MC_O_20250415_000060_R01_S01",
            {"CCDSLOT": "S99"},
            "detector_num: LSSTCam has no detector 'R01_S99'",
        ),
        ("lsstCam-MC_O_20250415_000060_R01_S01", {"FILTER": "q_7"}, "LSSTCam has no filter 'q_7'"),
        ("lsstCam-MC_O_20250415_000060_R01_S01", {"DAYOBS": "2025"}, "exposure_id: DAYOBS '2025' is no day"),
        (
            "lsstCam-MC_O_20250415_000060_R01_S01",
            {"CONTRLLR": "X", "DAYOBS": "20230415"},
            "exposure_id: CONTRLLR 'X'",
        ),
        ("lsstCam-MC_O_20250415_000060_R01_S01", {"EXPTIME": None}, "exposure_time_requested: no EXPTIME"),
        (
            "lsstCam-MC_O_20250415_000060_R01_S01",
            {"IMGTYPE": None},
            "observation_type: no IMGTYPE in the header",
        ),
    ],
)
def test_a_header_without_what_is_needed_is_refused(
    name: str, change: dict[str, Any], message: str, header_of: Callable[..., Any]
) -> None:
    cards = {k: v for k, v in (header_of(name) | change).items() if v is not None}
    with pytest.raises(HeaderError) as caught:
        observed(cards)
    assert message in str(caught.value)


# ------------------------------------------------------------- rules by themselves


@pytest.mark.parametrize(
    ("day", "number", "controller", "exposure"),
    [
        ("20190530", 1, "C", 3019053000001),
        ("20231004", 7, "C", 3023100400007),
        ("20231005", 7, "C", 2023100500007),
        ("20250417", 1, "P", 5025041700001),
        ("20250417", 1, "Q", 6025041700001),
        ("20250417", 1, "S", 7025041700001),
        ("20250418", 1, "S", 2025041800001),
        ("20250418", 1, "H", 4025041800001),
        ("2025-04-15T20:00", "60", "O", 2025041500060),
        (20250415, 60, None, 2025041500060),
    ],
)
def test_exposure_numbers(day: Any, number: Any, controller: str | None, exposure: int) -> None:
    assert exposure_number(day, number, controller) == exposure


@pytest.mark.parametrize(
    ("day", "number", "controller"), [("20250101", 100000, "O"), ("x", 1, "O"), ("20200101", 1, "OC")]
)
def test_what_is_no_exposure_number(day: str, number: int, controller: str) -> None:
    with pytest.raises(ValueError, match=r"SEQNUM|DAYOBS|CONTRLLR"):
        exposure_number(day, number, controller)


def test_sequences() -> None:
    assert group_range(349, 2, 2, 9) == (348, 349)
    assert group_range(348, 1, 2, 9) == (348, 349)
    assert group_range(5, None, None, 9) == (5, 5)
    assert group_range(0, None, None, 9) == (9, 9)


@pytest.mark.parametrize(
    ("cards", "name"),
    [
        (("i_39", None, None), "i_39"),
        (("SDSSi", None, "ND_OD0.5"), "SDSSi~ND_OD0.5"),
        (("i_39", "empty_1", "empty"), "i_39"),
        (("empty", None, "ND_OD0.5"), "ND_OD0.5"),
        (("empty_3", "", None), "empty"),
        ((None, None, None), "unknown"),
        (("NONE",), "none"),
    ],
)
def test_filters_are_joined(cards: tuple[Any, ...], name: str) -> None:
    assert join_filters(cards) == name


def test_simulated_content() -> None:
    assert is_simulated({"SIMULATE ATDOME": 1})
    assert is_simulated({"CONTRLLR": "Q"})
    assert not is_simulated({"SIMULATE ATDOME": 0, "CONTRLLR": "O"})


@pytest.mark.parametrize(
    ("utc", "hours"),
    [
        ("2019-03-10T09:59:00", 8),
        ("2019-03-10T10:01:00", 7),
        ("2019-11-03T08:59:00", 7),
        ("2019-11-03T09:01:00", 8),
        ("2022-03-13T09:59:00", 8),
        ("2022-03-13T10:01:00", 7),
        ("2022-11-06T08:59:00", 7),
        ("2022-11-06T09:01:00", 8),
        ("2024-01-01T00:00:00", 8),
    ],
)
def test_midnight_in_california_knows_summer_time(utc: str, hours: int) -> None:
    from astropy.time import Time

    assert pacific_midnight_s(Time(utc, scale="utc").mjd) == hours * 3600
