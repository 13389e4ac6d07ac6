# SPDX-License-Identifier: BSD-3-Clause
"""``butler.registry``: dataset types, dimension records, memberships, validity."""

from __future__ import annotations

from typing import Any

import pytest

from lakebutler import (
    Butler,
    CollectionType,
    CollectionTypeError,
    ConflictingDatasetTypeError,
    ConflictingDefinitionError,
    DatasetIdGenEnum,
    DatasetNotFoundError,
    DatasetRef,
    DatasetType,
    DatasetTypeError,
    DimensionNameError,
    InconsistentDataIdError,
    MissingCollectionError,
    MissingDatasetTypeError,
    NoDefaultCollectionError,
    OrphanedRecordError,
    Timespan,
)
from lakebutler.errors import DataIdValueError, DimensionValueError
from tests.butler.world import CAM, Place, dataset_type, instant, note_id, refused

BIAS = {"instrument": CAM, "detector": 1}


def between(begin: str | None, end: str | None) -> Timespan:
    """A range of whole days of January 2025, at noon."""
    times = [None if day is None else instant(f"2025-01-{day}T12:00:00") for day in (begin, end)]
    return Timespan(*times)


# ---------------------------------------------------------------- dataset types


def test_a_dataset_type_is_registered_once(place: Place, butler: Butler) -> None:
    kind = DatasetType("new", ["instrument"], "Text", universe=butler.dimensions)
    assert butler.registry.registerDatasetType(kind) is True
    version = butler.version
    assert butler.registry.registerDatasetType(kind) is False
    assert butler.version == version
    assert butler.registry.getDatasetType("new") == butler.get_dataset_type("new") == kind
    for other in (
        DatasetType("new", ["detector"], "Text", universe=butler.dimensions),
        DatasetType("new", ["instrument"], "Bytes", universe=butler.dimensions),
        DatasetType("new", ["instrument"], "Text", universe=butler.dimensions, isCalibration=True),
    ):
        with refused(place, butler, ConflictingDatasetTypeError, "new"):
            butler.registry.registerDatasetType(other)


def test_dataset_types_are_looked_up_by_name_and_glob(butler: Butler) -> None:
    query = butler.registry.queryDatasetTypes

    def names(*args: Any) -> list[str]:
        return [kind.name for kind in query(*args)]

    assert names() == names("*") == names(...) == sorted(names())
    assert names("*a*") == ["bias", "catalog", "flat", "label", "raw"]
    assert names(["raw", "note"]) == ["note", "raw"]
    missing: list[str] = []
    assert [kind.name for kind in query(["raw", "nope"], missing=missing)] == ["raw"]
    assert missing == ["nope"]
    with pytest.raises(MissingDatasetTypeError, match="'note'"):
        butler.registry.getDatasetType("nite")


def test_a_component_of_a_type_is_a_type_of_its_own(place: Place, butler: Butler) -> None:
    component = butler.get_dataset_type("raw.header")
    assert component.isComponent()
    with refused(place, butler, DatasetTypeError, "raw.header", "raw"):
        butler.registry.registerDatasetType(component)


def test_a_type_without_datasets_can_be_removed(place: Place, butler: Butler) -> None:
    butler.put({}, "note", note_id())
    with refused(place, butler, OrphanedRecordError, "note", "u/test"):
        butler.registry.removeDatasetType("note")
    with refused(place, butler, OrphanedRecordError, "note"):
        butler.registry.removeDatasetType(("label", "no*"))
    butler.registry.removeDatasetType(("lab*", "setup"))
    assert [kind.name for kind in butler.registry.queryDatasetTypes(["label", "setup"])] == []
    with pytest.raises(MissingDatasetTypeError):
        butler.put("text", "label", instrument=CAM)


# ------------------------------------------------------------ dimension records


def test_records_are_inserted_all_or_none(place: Place, butler: Butler) -> None:
    insert = butler.registry.insertDimensionData
    good = {"instrument": CAM, "id": 8, "full_name": "R90"}
    for bad, error, words in [
        ({"instrument": CAM, "id": 0, "full_name": "R91"}, ConflictingDefinitionError, ("detector=0",)),
        ({"instrument": CAM, "id": 8, "full_name": "R91"}, ConflictingDefinitionError, ("twice",)),
        ({"instrument": CAM, "id": 9, "full_name": "R90"}, ConflictingDefinitionError, ("R90", "full_name")),
        ({"instrument": CAM, "id": 9, "full_name": "R22_S00"}, ConflictingDefinitionError, ("R22_S00",)),
        ({"instrument": "Cam2", "id": 9, "full_name": "x"}, DimensionValueError, ("Cam2", "Cam1")),
        ({"instrument": CAM, "id": "nine", "full_name": "x"}, DimensionValueError, ("nine",)),
        ({"instrument": CAM, "id": 2**70, "full_name": "x"}, DimensionValueError, ("64",)),
        ({"instrument": CAM, "full_name": "x"}, DimensionValueError, ("detector", "id", "missing")),
        ({"instrument": CAM, "id": 9, "full_nmae": "x"}, DimensionNameError, ("full_nmae", "full_name")),
    ]:
        with refused(place, butler, error, *words):
            insert("detector", good, bad)
    insert("detector", good)
    assert butler.registry.expandDataId(instrument=CAM, detector=8).records["detector"].full_name == "R90"
    with refused(place, butler, DimensionNameError, "detectr", "'detector'"):
        insert("detectr", good)
    with refused(place, butler, DimensionNameError, "band"):
        insert("band", {"name": "z"})


def test_a_reference_to_a_record_that_is_missing_is_named(place: Place, butler: Butler) -> None:
    row = {"instrument": CAM, "id": 300, "obs_id": "o", "group": "group-101", "day_obs": 20250101}
    for change, words in (
        ({"physical_filter": "Cam1-z"}, ("Cam1-z",)),
        ({"physical_filter": "Cam1-g", "day_obs": 20990101}, ("day_obs", "20990101")),
        ({"physical_filter": "Cam1-g", "group": "none"}, ("group", "none")),
    ):
        with refused(place, butler, DimensionValueError, *words):
            butler.registry.insertDimensionData("exposure", {**row, **change})


def test_existing_records_are_kept_or_replaced_as_asked(butler: Butler) -> None:
    insert = butler.registry.insertDimensionData
    changed = {"instrument": CAM, "id": 0, "full_name": "R22_S00", "purpose": "GUIDER"}
    fresh = {"instrument": CAM, "id": 8, "full_name": "R90"}

    def purpose() -> Any:
        return butler.registry.expandDataId(instrument=CAM, detector=0).records["detector"].purpose

    insert("detector", changed, fresh, skip_existing=True)
    assert purpose() is None
    insert("detector", changed, replace=True)
    assert purpose() == "GUIDER"
    assert len(butler.query_dimension_records("detector", instrument=CAM)) == 5


def test_sync_inserts_compares_and_updates(place: Place, butler: Butler) -> None:
    sync = butler.registry.syncDimensionData
    row = {"instrument": CAM, "id": 8, "full_name": "R90"}
    assert sync("detector", row) is True
    version = butler.version
    assert sync("detector", row) is False
    assert butler.version == version
    with refused(place, butler, ConflictingDefinitionError, "full_name", "R90", "R91", "update"):
        sync("detector", {**row, "full_name": "R91"})
    assert sync("detector", {**row, "full_name": "R91"}, update=True) == {"full_name": "R90"}
    assert butler.find_dataset("bias", BIAS | {"detector": "R91"}) is None
    record = butler.dimensions["detector"].RecordClass(**row)
    assert sync("detector", record, update=True) == {"full_name": "R91"}
    with refused(place, butler, DimensionValueError, "detector", "exposure"):
        sync("exposure", record)


def test_a_data_id_is_expanded_to_all_that_follows(butler: Butler) -> None:
    expand = butler.registry.expandDataId
    whole = expand(instrument=CAM, exposure=101, detector=1)
    assert whole.hasRecords()
    assert whole["physical_filter"] == "Cam1-g"
    assert whole["band"] == "g"
    assert whole.records["exposure"].obs_id == "obs-101"
    assert whole.timespan == whole.records["exposure"].timespan
    assert expand(whole) == whole
    assert expand({"instrument": CAM, "exposure": 101}, detector=1) == whole
    assert set(expand(whole, dimensions=["detector"]).dimensions.required) == {"instrument", "detector"}
    with pytest.raises(DataIdValueError, match="101, 102, 201"):
        expand(instrument=CAM, exposure=7)
    with pytest.raises(InconsistentDataIdError, match="band"):
        expand(instrument=CAM, physical_filter="Cam1-g", band="r")
    with pytest.raises(DimensionNameError, match="exposur"):
        expand(instrument=CAM, exposur=101)


# --------------------------------------------------------------------- datasets


def test_datasets_can_be_registered_without_files(place: Place, butler: Butler) -> None:
    ids = [note_id(e, 1) for e in (101, 102)]
    refs = butler.registry.insertDatasets("note", ids, run="u/test")
    assert [ref.dataId["exposure"] for ref in refs] == [101, 102]
    assert place.files() == set()
    mode = DatasetIdGenEnum.DATAID_TYPE_RUN
    [known] = butler.registry.insertDatasets("note", [note_id(201, 1)], idGenerationMode=mode)
    again = DatasetRef(dataset_type(butler, "note"), note_id(201, 1), run="u/test", id_generation_mode=mode)
    assert known == again
    with refused(place, butler, ConflictingDefinitionError, "note", "u/test"):
        butler.registry.insertDatasets("note", [note_id(102, 2), ids[0]], run="u/test")
    with refused(place, butler, ConflictingDefinitionError, "twice"):
        butler.registry.insertDatasets("note", [note_id(102, 2), note_id(102, 2)], run="u/test")
    with place.open(writeable=True) as other, pytest.raises(NoDefaultCollectionError):
        other.registry.insertDatasets("note", ids)


def test_datasets_are_removed_with_their_memberships(butler: Butler) -> None:
    [ref] = butler.registry.insertDatasets("note", [note_id()], run="u/test")
    butler.registry.registerCollection("tag")
    butler.registry.associate("tag", [ref])
    butler.registry.removeDatasets([ref])
    assert butler.get_dataset(ref.id) is None
    assert butler.query_datasets("note", "tag", explain=False) == []
    butler.registry.removeDatasets([ref])
    butler.put({"again": 1}, "note", note_id())
    assert butler.get("note", note_id()) == {"again": 1}


# ------------------------------------------------------------------------- tags


@pytest.fixture
def twins(butler: Butler) -> tuple[DatasetRef, DatasetRef]:
    """Two datasets with one data ID, in two runs; and a tag."""
    butler.registry.registerCollection("tag")
    butler.collections.register("u/twin")
    return butler.put({"n": 1}, "note", note_id()), butler.put({"n": 2}, "note", note_id(), run="u/twin")


def test_a_tag_holds_one_dataset_of_each_data_id(
    place: Place, butler: Butler, twins: tuple[DatasetRef, DatasetRef]
) -> None:
    first, second = twins
    associate, disassociate = butler.registry.associate, butler.registry.disassociate
    associate("tag", [first])
    version = butler.version
    associate("tag", [first])
    assert butler.version == version
    assert butler.get("note", note_id(), collections="tag") == {"n": 1}
    with refused(place, butler, ConflictingDefinitionError, "tag", "disassociate"):
        associate("tag", [second], replace=False)
    associate("tag", [second])
    assert butler.get("note", note_id(), collections="tag") == {"n": 2}
    assert len(butler.query_datasets("note", "tag", find_first=False)) == 1
    with refused(place, butler, ConflictingDefinitionError, "u/test", "u/twin"):
        associate("tag", [first, second])
    disassociate("tag", [first])
    assert butler.get("note", note_id(), collections="tag") == {"n": 2}
    disassociate("tag", [second])
    assert butler.find_dataset("note", note_id(), collections="tag") is None
    assert butler.exists(second)


def test_a_tag_takes_only_what_is_there(
    place: Place, butler: Butler, twins: tuple[DatasetRef, DatasetRef]
) -> None:
    stranger = DatasetRef(twins[0].datasetType, note_id(201), run="u/test")
    with refused(place, butler, DatasetNotFoundError, "note", str(stranger.id)):
        butler.registry.associate("tag", [twins[0], stranger])
    for verb in (butler.registry.associate, butler.registry.disassociate):
        with refused(place, butler, CollectionTypeError, "u/test", "RUN", "TAGGED"):
            verb("u/test", [twins[0]])
        with refused(place, butler, MissingCollectionError, "tga", "'tag'"):
            verb("tga", [twins[0]])


# ------------------------------------------------------------------- validity


@pytest.fixture
def biases(butler: Butler) -> list[DatasetRef]:
    """Three biases of one detector, each in a run of its own; and a calibration collection."""
    butler.registry.registerCollection("calib", CollectionType.CALIBRATION)
    refs = []
    for number in range(3):
        butler.collections.register(f"bias/{number}")
        refs.append(butler.put({"n": number}, "bias", BIAS, run=f"bias/{number}"))
    return refs


def valid(butler: Butler, day: str) -> Any:
    """Which bias is valid in the afternoon of a day of January 2025."""
    when = Timespan(instant(f"2025-01-{day}T13:00:00"), instant(f"2025-01-{day}T14:00:00"))
    found = butler.find_dataset("bias", BIAS, collections="calib", timespan=when)
    return None if found is None else butler.get(found)["n"]


def test_validity_ranges_are_half_open_and_never_overlap(
    place: Place, butler: Butler, biases: list[DatasetRef]
) -> None:
    certify = butler.registry.certify
    certify("calib", [biases[0]], between("01", "05"))
    certify("calib", [biases[1]], between("05", "09"))
    certify("calib", [biases[2]], between("09", None))
    assert [valid(butler, day) for day in ("01", "04", "05", "08", "09", "30")] == [0, 0, 1, 1, 2, 2]
    edge = Timespan(instant("2025-01-05T12:00:00"), instant("2025-01-05T12:00:01"))
    found = butler.find_dataset("bias", BIAS, collections="calib", timespan=edge)
    assert found == biases[1]
    for span in (between("04", "06"), between("01", "02"), between(None, None), between("20", None)):
        with refused(place, butler, ConflictingDefinitionError, "bias", "calib", "decertify"):
            certify("calib", [biases[0]], span)
    certify("calib", [biases[0]], between(None, "01"))


def test_decertify_trims_splits_and_removes(butler: Butler, biases: list[DatasetRef]) -> None:
    butler.registry.certify("calib", [biases[0]], between("01", "10"))
    days = ["01", "03", "05", "07", "09"]
    decertify = butler.registry.decertify
    decertify("calib", "bias", between("04", "06"))
    assert [valid(butler, day) for day in days] == [0, 0, None, 0, 0]
    butler.registry.certify("calib", [biases[1]], between("04", "06"))
    assert [valid(butler, day) for day in days] == [0, 0, 1, 0, 0]
    decertify("calib", "bias", between("08", None))
    assert [valid(butler, day) for day in days] == [0, 0, 1, 0, None]
    decertify("calib", "bias", between(None, "02"), dataIds=[BIAS | {"detector": 2}])
    assert valid(butler, "01") == 0
    decertify("calib", "bias", between(None, "02"), dataIds=[BIAS])
    assert [valid(butler, day) for day in days] == [None, 0, 1, 0, None]
    decertify("calib", dataset_type(butler, "bias"), between(None, None))
    assert [valid(butler, day) for day in days] == [None] * 5
    version = butler.version
    decertify("calib", "bias", between(None, None))
    assert butler.version == version


@pytest.mark.parametrize(
    ("what", "error", "words"),
    [
        ("no calibration", DatasetTypeError, ("note", "isCalibration")),
        ("wrong collection", CollectionTypeError, ("u/test", "CALIBRATION")),
        ("no collection", MissingCollectionError, ("cailb", "'calib'")),
        ("empty range", ConflictingDefinitionError, ("empty",)),
        ("twins", ConflictingDefinitionError, ("calib", "once")),
        ("unknown", DatasetNotFoundError, ("bias",)),
    ],
)
def test_a_certification_that_makes_no_sense_is_refused(
    place: Place,
    butler: Butler,
    biases: list[DatasetRef],
    what: str,
    error: type[BaseException],
    words: tuple[str, ...],
) -> None:
    note = butler.put({}, "note", note_id())
    always = between(None, None)
    certify = butler.registry.certify
    stranger = DatasetRef(biases[0].datasetType, BIAS | {"detector": 3}, run="u/test")
    calls = {
        "no calibration": lambda: certify("calib", [note], always),
        "wrong collection": lambda: certify("u/test", biases[:1], always),
        "no collection": lambda: certify("cailb", biases[:1], always),
        "empty range": lambda: certify("calib", biases[:1], Timespan.makeEmpty()),
        "twins": lambda: certify("calib", biases[:2], always),
        "unknown": lambda: certify("calib", [stranger], always),
    }
    with refused(place, butler, error, *words):
        calls[what]()
    if what in {"no calibration", "wrong collection", "no collection"}:
        names = {
            "no calibration": ("calib", "note"),
            "wrong collection": ("u/test", "bias"),
            "no collection": ("cailb", "bias"),
        }
        with refused(place, butler, error, *words):
            butler.registry.decertify(*names[what], always)


def test_a_removed_calibration_is_valid_no_more(butler: Butler, biases: list[DatasetRef]) -> None:
    butler.registry.certify("calib", [biases[0]], between("01", "05"))
    butler.registry.removeDatasets([biases[0]])
    assert valid(butler, "02") is None
    butler.registry.certify("calib", [biases[1]], between("01", "05"))
    assert valid(butler, "02") == 1


def test_many_certifications_go_in_at_once(butler: Butler) -> None:
    butler.registry.registerCollection("calib", CollectionType.CALIBRATION)
    add = butler.registry.insertDimensionData
    add("detector", *({"instrument": CAM, "id": 100 + i, "full_name": f"D{i}"} for i in range(300)))
    ids = [{"instrument": CAM, "detector": 100 + i} for i in range(300)]
    refs = butler.registry.insertDatasets("bias", ids, run="u/test")
    butler.registry.certify("calib", refs, between("01", "05"))
    with pytest.raises(ConflictingDefinitionError):
        butler.registry.certify("calib", refs, between("04", "06"))
    butler.registry.certify("calib", refs, between("05", "06"))
    found = butler.find_dataset("bias", ids[299], collections="calib", timespan=between("02", "03"))
    assert found == refs[299]
    butler.registry.decertify("calib", "bias", between("02", None))
    assert butler.find_dataset("bias", ids[299], collections="calib", timespan=between("02", "03")) is None
