# SPDX-License-Identifier: BSD-3-Clause
"""What may stand in a data ID: keys, alternate keys, facts of records, implied values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakebutler import (
    Butler,
    CalibrationLookupError,
    CollectionType,
    DatasetNotFoundError,
    DimensionNameError,
    DimensionValueError,
    InconsistentDataIdError,
    Timespan,
)
from lakebutler.butler.existence import DatasetExistence
from lakebutler.errors import DataIdValueError
from tests.butler.conftest import RUN, copy_repository
from tests.butler.world import CAM, EXPOSURES, FILTERS, Place, check_message, instant, note_id, span


@pytest.fixture(scope="module")
def shared(observatory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Butler]:
    """A repository that these tests only read: notes of all exposures, calibrations of two nights."""
    place = Place(str(tmp_path_factory.mktemp("data_ids") / "repo"))
    copy_repository(observatory, place)
    with place.open(run=RUN) as butler, butler.transaction():
        for exposure in EXPOSURES:
            for detector in (0, 1):
                butler.put({"e": exposure, "d": detector}, "note", note_id(exposure, detector))
        butler.registry.registerCollection("calib", CollectionType.CALIBRATION)
        noon = [instant("2025-01-01T12:00:00"), instant("2025-01-02T12:00:00"), None]
        for night in (0, 1):
            run = f"calib/night{night}"
            butler.collections.register(run)
            valid = Timespan(noon[night], noon[night + 1])
            where = {"instrument": CAM, "detector": 1}
            refs = [butler.put({"night": night}, "bias", where, run=run)]
            for name in FILTERS:
                content = {"night": night, "filter": name}
                refs.append(butler.put(content, "flat", where, physical_filter=name, run=run))
            butler.registry.certify("calib", refs, valid)
    with place.open(collections=[RUN]) as butler:
        yield butler


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"exposure": 101, "detector": "R22_S11"}, (101, 1)),
        ({"exposure": "obs-102", "detector": 1}, (102, 1)),
        ({"exposure": 101, "full_name": "R22_S11"}, (101, 1)),
        ({"exposure": 101, "raft": "R22", "name_in_raft": "S11"}, (101, 1)),
        ({"obs_id": "obs-201", "detector": 0}, (201, 0)),
        ({"day_obs": 20250102, "seq_num": 1, "detector": 1}, (201, 1)),
        ({"exposure.day_obs": 20250101, "exposure.seq_num": 2, "detector": 1}, (102, 1)),
        ({"exposure.obs_id": "obs-201", "detector.full_name": "R22_S00"}, (201, 0)),
        ({"day_obs.id": 20250101, "exposure.seq_num": 2, "detector": 1}, (102, 1)),
        ({"exposure.id": 101, "detector.id": 1}, (101, 1)),
        ({"group": "group-102", "seq_num": 2, "detector": 1}, (102, 1)),
        ({"exposure": 101, "detector": 1, "band": "g"}, (101, 1)),
        ({"exposure": 101, "detector": 1, "physical_filter": "Cam1-g", "day_obs": 20250101}, (101, 1)),
        ({"exposure": 101, "detector": 1, "seq_num": 1, "full_name": "R22_S11"}, (101, 1)),
        ({"exposure": 101, "detector": 1, "visit": 3, "skymap": "elsewhere"}, (101, 1)),
    ],
    ids=str,
)
def test_a_dataset_is_found_by_alternate_keys_and_facts(
    shared: Butler, keys: dict[str, Any], found: tuple[int, int]
) -> None:
    exposure, detector = found
    assert shared.get("note", {"instrument": CAM, **keys}) == {"e": exposure, "d": detector}
    if not any("." in key for key in keys):
        assert shared.get("note", instrument=CAM, **keys) == {"e": exposure, "d": detector}
    ref = shared.find_dataset("note", keys, instrument=CAM)
    assert ref is not None
    assert (ref.dataId["exposure"], ref.dataId["detector"]) == found
    assert shared.getDeferred("note", keys, instrument=CAM).ref == ref
    assert shared.exists("note", keys, instrument=CAM)


def test_the_values_of_other_libraries_are_values_too(shared: Butler) -> None:
    import numpy as np

    keys = {"instrument": np.str_(CAM), "exposure": np.int64(101), "detector": np.uint8(1)}
    assert shared.get("note", keys) == {"e": 101, "d": 1}


def test_keywords_prevail_over_the_data_id(shared: Butler) -> None:
    assert shared.get("note", note_id(101, 0), detector=1)["d"] == 1
    whole = shared.registry.expandDataId(instrument=CAM, exposure=201, detector=1)
    assert shared.get("note", whole) == {"e": 201, "d": 1}
    assert shared.get("note", whole, exposure=101) == {"e": 101, "d": 1}
    assert shared.get("note", whole, exposure="obs-102", detector="R22_S00") == {"e": 102, "d": 0}
    wider = shared.registry.expandDataId(instrument=CAM, exposure=201, detector=1, visit=201)
    assert shared.get("note", wider) == {"e": 201, "d": 1}
    narrower = shared.registry.expandDataId(instrument=CAM, exposure=201)
    assert shared.get("note", narrower, detector=0) == {"e": 201, "d": 0}


@pytest.mark.parametrize(
    ("keys", "error", "words"),
    [
        ({"exposure": 101, "detector": 1, "band": "r"}, InconsistentDataIdError, ("band='r'", "band='g'")),
        ({"exposure": 101, "detector": 1, "day_obs": 20250102}, InconsistentDataIdError, ("20250102",)),
        ({"exposure": 101, "detector": 1, "seq_num": 2}, InconsistentDataIdError, ("seq_num", "101", "2")),
        ({"exposure": 101, "detector": 1, "full_name": "R22_S22"}, InconsistentDataIdError, ("R22_S11",)),
        ({"exposure": 101, "raft": "R22"}, DimensionValueError, ("3 detector", "raft='R22'")),
        ({"seq_num": 1, "detector": 1}, DimensionValueError, ("2 exposure", "seq_num=1")),
        (
            {"exposure": 101, "detector": "R22_S12"},
            DimensionValueError,
            ("R22_S12", "did you mean", "R22_S11"),
        ),
        ({"day_obs": 20250102, "seq_num": 9, "detector": 1}, DimensionValueError, ("seq_num=9", "query")),
        (
            {"exposure": 101, "detector": 1, "nonsense": 1},
            DimensionNameError,
            ("nonsense", "dimensions of note"),
        ),
        ({"exposure": 101, "detector.name": "x"}, DimensionNameError, ("detector.name",)),
        ({"exposure": 101, "dtector": 1}, DimensionNameError, ("dtector", "'detector'")),
        ({"exposure": 101}, DimensionNameError, ("detector",)),
        ({"exposure": 101, "detector": None}, DimensionValueError, ("detector", "None")),
        ({"exposure": 101, "detector": [1]}, DimensionValueError, ("detector", "list")),
        ({"exposure": 101, "detector": 1.0}, DimensionValueError, ("detector", "1.0")),
        ({"exposure": True, "detector": 1}, DimensionValueError, ("exposure", "True")),
        ({"exposure": 2**63, "detector": 1}, DimensionValueError, ("exposure", "64")),
        ({"exposure": 101, "detector": 77}, DatasetNotFoundError, ("detector=77", "0, 1, 2, 3")),
        ({"exposure": 101, "detector": 1, "instrument": "Cam2"}, DatasetNotFoundError, ("Cam2", "'Cam1'")),
        ({"exposure": 101, "detector": 1, "instrument": "Càm1"}, DatasetNotFoundError, ("Càm1", "'Cam1'")),
        ({"exposure": 101, "detector": 1, "instrument": "\ud800"}, DimensionValueError, ("instrument",)),
        ({"day_obs": "x", "seq_num": "y", "detector": 1}, DimensionValueError, ("seq_num", "'y'")),
        ({"day_obs": 20250101, "seq_num": None, "detector": 1}, DimensionValueError, ("seq_num",)),
    ],
    ids=str,
)
def test_a_data_id_that_makes_no_sense_is_explained(
    shared: Butler, keys: dict[str, Any], error: type[BaseException], words: tuple[str, ...]
) -> None:
    with pytest.raises(error) as caught:
        shared.get("note", {"instrument": CAM, **keys})
    check_message(caught.value, *words)


@pytest.mark.parametrize("wrong", [{"detector": 77}, {"instrument": "Cam2"}], ids=str)
def test_a_dataset_of_what_does_not_exist_is_not_found(shared: Butler, wrong: dict[str, Any]) -> None:
    data_id = {"instrument": CAM, "exposure": 101, "detector": 1, **wrong}
    name, value = next(iter(wrong.items()))
    assert shared.exists("note", data_id) is DatasetExistence.UNRECOGNIZED
    assert shared.exists("no_such_type", data_id) is DatasetExistence.UNRECOGNIZED
    assert shared.find_dataset("note", data_id) is None
    for verb in (shared.get, shared.getDeferred, shared.getURI, shared.getURIs):
        with pytest.raises(DatasetNotFoundError) as caught:
            verb("note", data_id)
        check_message(caught.value, "note", name, str(value))
    with pytest.raises(DataIdValueError, match=name):
        shared.getURI("note", data_id, predict=True, run="any")
    with pytest.raises(DimensionNameError, match="detector"):
        shared.exists("note", instrument=CAM, exposure=101)


def test_a_fact_that_several_dimensions_have_must_say_whose_it_is(shared: Butler) -> None:
    with pytest.raises(DimensionValueError, match=r"exposure\.|detector\.|instrument\."):
        shared.get("note", instrument=CAM, exposure=101, id=1)


# ------------------------------------------------------------------ calibrations

BIAS = {"instrument": CAM, "detector": 1}


@pytest.mark.parametrize(
    ("keys", "night"),
    [
        ({"exposure": 101}, 0),
        ({"exposure": 201}, 1),
        ({"exposure": "obs-201"}, 1),
        ({"obs_id": "obs-102"}, 0),
        ({"day_obs": 20250102, "seq_num": 1}, 1),
        ({"exposure.day_obs": 20250101, "exposure.seq_num": 2}, 0),
        ({"visit": 201}, 1),
        ({"visit": "visit 101"}, 0),
        ({"exposure": 201, "visit": 201, "band": "r"}, 1),
    ],
    ids=str,
)
def test_a_calibration_is_found_by_what_it_is_needed_for(
    shared: Butler, keys: dict[str, Any], night: int
) -> None:
    found = shared.get("bias", {**BIAS, **keys}, collections="calib")
    assert found == {"night": night}
    ref = shared.find_dataset("bias", {**BIAS, **keys}, collections=["calib"])
    assert ref is not None
    assert ref.run == f"calib/night{night}"
    assert ref.dataId.dimensions == ref.datasetType.dimensions


def test_a_flat_takes_its_filter_from_the_exposure(shared: Butler) -> None:
    for exposure, (_, _, physical_filter) in EXPOSURES.items():
        found = shared.get("flat", BIAS, exposure=exposure, collections="calib")
        assert found["filter"] == physical_filter
        whole = shared.registry.expandDataId(BIAS, exposure=exposure)
        assert shared.get("flat", whole, collections="calib") == found
    with pytest.raises(InconsistentDataIdError, match="Cam1-g"):
        shared.get("flat", BIAS, exposure=201, physical_filter="Cam1-g", collections="calib")
    with pytest.raises(DimensionNameError, match="physical_filter"):
        shared.get("flat", BIAS, collections="calib", timespan=span(20250101, 1))


def test_a_calibration_is_found_by_a_timespan(shared: Butler) -> None:
    assert shared.get("bias", BIAS, timespan=span(20250101, 3), collections="calib") == {"night": 0}
    last = Timespan(instant("2031-01-01T00:00:00"), None)
    assert shared.get("bias", BIAS, timespan=last, collections="calib") == {"night": 1}
    # The timespan that is given outweighs that of the data ID.
    assert shared.get("bias", BIAS, exposure=101, timespan=last, collections="calib") == {"night": 1}


def test_a_calibration_that_is_not_valid_then_is_not_found(shared: Butler) -> None:
    early = Timespan(None, instant("2025-01-01T12:00:00"))
    with pytest.raises(DatasetNotFoundError) as caught:
        shared.get("bias", BIAS, timespan=early, collections="calib")
    check_message(caught.value, "bias", "calib", "2025-01-01")
    assert shared.find_dataset("bias", BIAS, timespan=early, collections="calib") is None


def test_several_calibrations_that_answer_are_an_error(shared: Butler) -> None:
    for when in (
        None,
        Timespan(None, None),
        Timespan(instant("2025-01-02T11:00:00"), instant("2025-01-02T13:00:00")),
    ):
        with pytest.raises(CalibrationLookupError) as caught:
            shared.get("bias", BIAS, timespan=when, collections="calib")
        check_message(caught.value, "bias", "calib", "timespan")


def test_an_unknown_exposure_of_a_calibration_is_named(shared: Butler) -> None:
    with pytest.raises(DataIdValueError) as caught:
        shared.get("bias", BIAS, exposure=777, collections="calib")
    check_message(caught.value, "777", "101, 102, 201")


def test_a_run_holds_a_calibration_for_all_times(shared: Butler) -> None:
    for keys in ({}, {"exposure": 101}):
        assert shared.get("bias", BIAS, collections="calib/night1", **keys) == {"night": 1}
    found = shared.get("bias", BIAS, exposure=101, collections=["calib/night1", "calib"])
    assert found == {"night": 1}
    found = shared.get("bias", BIAS, exposure=101, collections=["calib", "calib/night1"])
    assert found == {"night": 0}
