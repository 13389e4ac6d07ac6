# SPDX-License-Identifier: BSD-3-Clause
"""Put and get: what comes back is what was put, or a clear error."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import Table

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.provenance import DatasetProvenance
from lakebutler.datastore import read as reading
from lakebutler.datastore.datastore import Datastore
from lakebutler.datastore.records import FileRecord
from lakebutler.errors import (
    DatasetNotFoundError,
    ExternalFileError,
    FileFormatError,
    FileIntegrityError,
    RepositoryCorruptError,
    RepositoryFormatError,
    StorageClassError,
    StorageError,
    TrustError,
)

Make = Callable[..., DatasetRef]

OBJECTS: list[tuple[str, Any]] = [
    ("StructuredDataDict", {"a": [1, 2.5, None], "ü": {"b": True}}),
    ("StructuredDataList", [1, "x"]),
    ("int", 5),
    ("Text", "line\r\nline"),
    ("Bytes", b"\x00\xff"),
    ("NumpyArray", np.arange(6.0).reshape(2, 3)),
    ("ArrowTable", pa.table({"a": [1, 2]})),
    ("ArrowAstropy", Table({"a": [1, 2]})),
    ("ArrowNumpyDict", {"a": np.array([1, 2])}),
    ("AstropyTable", Table({"a": [1, 2]})),
    ("CCDData", CCDData(np.ones((3, 4), "f4"), unit="electron")),
    ("FitsHeader", fits.Header([("A", 1)])),
]


@pytest.mark.parametrize(("storage_class", "obj"), OBJECTS, ids=[name for name, _ in OBJECTS])
def test_what_is_put_is_got(datastore: Datastore, ref: Make, storage_class: str, obj: Any) -> None:
    dataset = ref(storage_class=storage_class)
    record = datastore.put(obj, dataset)
    datastore.sync([record.path or ""])
    read = datastore.get(dataset, record)
    assert type(read) is type(obj)
    if isinstance(obj, np.ndarray | CCDData):
        assert (np.asarray(read) == np.asarray(obj)).all()
    elif isinstance(obj, Table):
        assert (read.as_array() == obj.as_array()).all()
    elif storage_class == "FitsHeader":
        assert read["A"] == 1
    elif storage_class == "ArrowNumpyDict":
        assert read.keys() == obj.keys()
    else:
        assert read == obj


def test_a_record_says_all_that_is_needed(datastore: Datastore, ref: Make, root: Path) -> None:
    record = datastore.put({"a": 1}, ref())
    assert record.path is not None
    data = (root / record.path).read_bytes()
    assert record == FileRecord(record.path, None, "json", "StructuredDataDict", len(data), record.checksum)
    assert record.checksum == reading.checksum_of(data)
    assert datastore.exists(record)
    assert datastore.local_path(record) == str(root / record.path)
    assert datastore.uri(ref(), record).ospath == str(root / record.path)


def test_a_predicted_address_says_so(datastore: Datastore, ref: Make, root: Path) -> None:
    dataset = ref()
    predicted = datastore.uri(dataset, None)
    assert predicted.fragment == "predicted"
    assert predicted.ospath == str(root / (datastore.put({}, dataset).path or ""))


def test_an_object_of_the_wrong_type_is_refused_naming_both(
    datastore: Datastore, ref: Make, root: Path, tree: Callable[[Path], dict[str, Any]]
) -> None:
    with pytest.raises(StorageClassError, match=r"dict.*list"):
        datastore.put([1], ref())
    with pytest.raises(FileFormatError, match=r"thing.*HSC"):
        datastore.put({"a": object()}, ref())
    assert tree(root) == {}


def test_the_second_formatter_holds_what_the_first_cannot(datastore: Datastore, ref: Make) -> None:
    dataset = ref()
    record = datastore.put({1: "one", None: b"\x00"}, dataset)
    assert record.formatter == "yaml"
    assert datastore.get(dataset, record) == {1: "one", None: b"\x00"}


def test_a_file_is_never_overwritten(datastore: Datastore, ref: Make) -> None:
    dataset = ref()
    records = [datastore.put({"n": n}, dataset) for n in range(3)]
    assert len({record.path for record in records}) == 3
    assert [datastore.get(dataset, record)["n"] for record in records] == [0, 1, 2]


def test_rollback_leaves_nothing(datastore: Datastore, ref: Make, root: Path) -> None:
    kept = datastore.put({"n": 0}, ref(0))
    paths = [datastore.put({"n": n}, ref(n)).path or "" for n in range(1, 300)]
    datastore.rollback(paths)
    assert datastore.get(ref(0), kept) == {"n": 0}
    assert [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()] == [kept.path]
    datastore.rollback([kept.path or ""])
    assert list(root.iterdir()) == [root / "datastore"]
    assert datastore.get(ref(1), datastore.put({"n": 1}, ref(1))) == {"n": 1}


def damage_cut(data: bytes) -> bytes:
    return data[:-1]


def damage_longer(data: bytes) -> bytes:
    return data + b"\0"


def damage_flip(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def damage_late_flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 128])


def damage_empty(data: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [damage_cut, damage_longer, damage_flip, damage_late_flip, damage_empty])
@pytest.mark.parametrize(("storage_class", "obj"), OBJECTS[:6], ids=[name for name, _ in OBJECTS[:6]])
def test_a_damaged_file_is_found_out(
    datastore: Datastore,
    ref: Make,
    root: Path,
    storage_class: str,
    obj: Any,
    damage: Callable[[bytes], bytes],
) -> None:
    dataset = ref(storage_class=storage_class)
    record = datastore.put(obj, dataset)
    file = root / (record.path or "")
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(FileIntegrityError) as caught:
        datastore.get(dataset, record)
    message = str(caught.value)
    assert str(dataset.id) in message
    assert str(file) in message
    assert "expected" in message
    assert "found" in message


def test_a_flipped_byte_of_a_large_file_is_found_out_once_and_again(
    datastore: Datastore, ref: Make, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "IN_MEMORY", 1000)
    monkeypatch.setattr("lakebutler.datastore.datastore.IN_MEMORY", 1000)
    monkeypatch.setattr("lakebutler.datastore.datastore.PARTLY", 1000)
    dataset = ref(storage_class="CCDData")
    record = datastore.put(CCDData(np.zeros((500, 500), "i2"), unit="adu"), dataset)
    file = root / (record.path or "")
    parameters = {"bbox": (0, 0, 5, 5)}
    assert datastore.get(dataset, record, parameters=parameters).shape == (5, 5)
    with open(file, "r+b") as stream:
        stream.seek(-3000, os.SEEK_END)
        stream.write(b"\1")
    for _ in range(2):
        with pytest.raises(FileIntegrityError, match="expected sha256:"):
            datastore.get(dataset, record, parameters=parameters)
        with pytest.raises(FileIntegrityError, match="expected sha256:"):
            datastore.get(dataset, record)
    assert datastore.get(dataset, record, parameters=parameters, verify=False).shape == (5, 5)


def test_verification_can_be_switched_off_but_sizes_stay_checked(root: Path, ref: Make) -> None:
    datastore = Datastore(str(root), config={"verify": False})
    dataset = ref(storage_class="Text")
    record = datastore.put("hello", dataset)
    file = root / (record.path or "")
    file.write_text("jello")
    assert datastore.get(dataset, record) == "jello"
    with pytest.raises(FileIntegrityError):
        datastore.get(dataset, record, verify=True)
    file.write_text("hello!")
    with pytest.raises(FileIntegrityError, match="expected 5 bytes, found 6"):
        datastore.get(dataset, record)


def test_two_files_that_were_swapped_are_found_out(datastore: Datastore, ref: Make, root: Path) -> None:
    one, two = datastore.put({"a": 1}, ref(1)), datastore.put({"a": 2}, ref(2))
    first, second = root / (one.path or ""), root / (two.path or "")
    first.rename(root / "x")
    second.rename(first)
    (root / "x").rename(second)
    for dataset, record in ((ref(1), one), (ref(2), two)):
        with pytest.raises(FileIntegrityError):
            datastore.get(dataset, record)


def test_a_missing_file_is_a_file_not_found_error(datastore: Datastore, ref: Make, root: Path) -> None:
    dataset = ref()
    record = datastore.put({}, dataset)
    (root / (record.path or "")).unlink()
    assert not datastore.exists(record)
    with pytest.raises(FileNotFoundError, match=str(dataset.id)):
        datastore.get(dataset, record)
    gone = record._replace(path="datastore/nowhere/x.json")
    with pytest.raises(DatasetNotFoundError, match="nowhere"):
        datastore.get(dataset, gone)
    datastore.remove([record, gone])


def test_a_directory_or_a_pipe_in_place_of_a_file_is_no_dataset(
    datastore: Datastore, ref: Make, root: Path
) -> None:
    dataset = ref()
    record = datastore.put({}, dataset)
    file = root / (record.path or "")
    file.unlink()
    file.mkdir()
    with pytest.raises(RepositoryCorruptError, match="not a regular file"):
        datastore.get(dataset, record)
    file.rmdir()
    os.mkfifo(file)
    with pytest.raises(RepositoryCorruptError, match="not a regular file"):
        datastore.get(dataset, record)
    assert not datastore.exists(record)


def test_a_file_that_is_not_of_its_format_is_named(datastore: Datastore, ref: Make, root: Path) -> None:
    dataset = ref()
    record = datastore.put({"a": 1}, dataset)
    for key in ("yaml", "numpy", "fits_image", "fits_hdulist", "fits_table", "parquet", "figure", "ecsv"):
        if key == "yaml":
            continue
        with pytest.raises((FileFormatError, StorageClassError), match=r"thing|Struct"):
            datastore.get(dataset, record._replace(formatter=key))


# ------------------------------------------------------------------- what is read


def test_components_and_parameters_are_read_alone(datastore: Datastore, ref: Make) -> None:
    image = CCDData(
        np.arange(12.0).reshape(3, 4), unit="adu", mask=np.eye(3, 4, dtype=bool), meta={"OBJECT": "M31"}
    )
    dataset = ref(storage_class="CCDData")
    record = datastore.put(image, dataset)
    assert datastore.get(dataset, record, component="header")["OBJECT"] == "M31"
    header = dataset.makeComponentRef("header")
    assert datastore.get(header, record)["OBJECT"] == "M31"
    assert (datastore.get(dataset, record, component="mask") == image.mask).all()
    assert datastore.get(dataset, record, component="uncertainty") is None
    part = datastore.get(dataset, record, component="data", parameters={"bbox": (1, 0, 3, 2)})
    assert (part == [[1, 2], [5, 6]]).all()
    with pytest.raises(StorageClassError, match="wsc"):
        datastore.get(dataset, record, component="wsc")
    with pytest.raises(FileFormatError, match="bbx"):
        datastore.get(dataset, record, parameters={"bbx": 1})


def test_components_of_tables(datastore: Datastore, ref: Make) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [1.0, 2.0, 3.0]})
    dataset = ref(storage_class="DataFrame")
    record = datastore.put(frame, dataset)
    assert datastore.get(dataset, record, component="rowcount") == 3
    assert isinstance(datastore.get(dataset, record, component="columns"), pd.Index)
    assert list(datastore.get(dataset, record, parameters={"columns": "b"}).columns) == ["b"]
    assert len(datastore.get(dataset, record, parameters={"filters": [("a", ">", 1)]})) == 2


def test_another_storage_class_can_be_asked_for(datastore: Datastore, ref: Make, root: Path) -> None:
    image = CCDData(np.ones((3, 4), "u2"), unit="adu")
    dataset = ref(storage_class="CCDData")
    record = datastore.put(image, dataset)
    assert type(datastore.get(dataset, record, storage_class="NumpyArray")) is np.ndarray
    assert isinstance(datastore.get(dataset, record, storage_class="HDUList"), fits.HDUList)
    file = root / (record.path or "")
    assert datastore.get(dataset, record, storage_class="Bytes") == file.read_bytes()
    assert datastore.get(dataset, record, storage_class="Path") == file
    with pytest.raises(StorageClassError, match=r"dict.*CCDData"):
        datastore.get(dataset, record, storage_class="StructuredDataDict")
    whole = ref(storage_class="HDUList")
    assert isinstance(datastore.get(whole, record, storage_class="CCDData"), CCDData)


def test_a_dataset_of_an_unknown_storage_class_is_still_got_as_it_is(datastore: Datastore, ref: Make) -> None:
    record = datastore.put({"a": 1}, ref())
    strange = ref(storage_class="PsfexThing")
    record = record._replace(storage_class="PsfexThing", formatter="lsst.meas.extensions.psfex.Formatter")
    with pytest.raises(StorageClassError, match="PsfexThing") as caught:
        datastore.get(strange, record)
    assert "Bytes" in str(caught.value)
    assert datastore.get(strange, record, storage_class="Bytes") == b'{"a":1}'
    with pytest.raises(FileFormatError, match="psfex") as formatter:
        datastore.get(strange, record, storage_class="StructuredDataDict")
    assert "Bytes" in str(formatter.value)


def test_a_figure_comes_back_as_a_picture(datastore: Datastore, ref: Make) -> None:
    from matplotlib.figure import Figure

    dataset = ref(storage_class="Plot")
    record = datastore.put(Figure(figsize=(2, 1), dpi=50), dataset)
    picture = datastore.get(dataset, record)
    assert picture[:4] == b"\x89PNG"
    assert datastore.get(dataset, record, storage_class="NumpyArray").shape == (50, 100, 4)


def test_provenance_is_written_where_the_format_can(datastore: Datastore, ref: Make) -> None:
    inputs = [ref(n, name="raw", run="a/rather/long/name/of/a/run/20260101T000000Z") for n in range(2)]
    provenance = DatasetProvenance(inputs)
    for storage_class, obj in (
        ("CCDData", CCDData(np.ones((2, 2)), unit="adu")),
        ("FitsHeader", fits.Header()),
    ):
        dataset = ref(storage_class=storage_class)
        record = datastore.put(obj, dataset, provenance=provenance)
        header = datastore.get(dataset, record, storage_class="FitsHeader")
        assert header["LSST BUTLER ID"] == str(dataset.id)
        assert header["LSST BUTLER INPUT 1 ID"] == str(inputs[1].id)
    dataset = ref(storage_class="ArrowTable")
    table = datastore.get(dataset, datastore.put(pa.table({"a": [1]}), dataset, provenance=provenance))
    assert table.schema.metadata[b"LSST.BUTLER.N_INPUTS"] == b"2"
    dataset = ref()
    assert datastore.get(dataset, datastore.put({"a": 1}, dataset, provenance=provenance)) == {"a": 1}


# -------------------------------------------------------------- what is configured


def test_templates_and_formatters_are_set_by_type_dimensions_class_and_instrument(
    root: Path, ref: Make
) -> None:
    config = {
        "templates": {
            "raw": "raws/{exposure}/{detector:03d}",
            "exposure+detector": "by_dimensions/{datasetType}",
            "instrument<DECam>": {"raw": "decam/{detector}"},
            "default": "rest/{datasetType}",
        },
        "formatters": {"StructuredDataDict": "yaml", "thing": "json"},
    }
    datastore = Datastore(str(root), config=config)
    raw = datastore.put({}, ref(105, name="raw"))
    assert raw.path is not None
    assert raw.path.startswith("datastore/raws/1/005-")
    assert raw.formatter == "yaml"
    thing = datastore.put({}, ref())
    assert (thing.path or "").startswith("datastore/by_dimensions/thing-")
    assert thing.formatter == "json"


@pytest.mark.parametrize(
    "config",
    [
        {"templates": {"default": "../{run}"}},
        {"formatters": {"default": "jsn"}},
        {"template": {}},
        {"templates": {"a": 3}},
    ],
)
def test_a_wrong_configuration_is_refused_on_opening(root: Path, config: dict[str, Any]) -> None:
    with pytest.raises((RepositoryFormatError, ValueError)):
        Datastore(str(root), config=config)


def test_private_files_are_for_their_owner(root: Path, ref: Make) -> None:
    record = Datastore(str(root), config={"private": True}).put({}, ref())
    file = root / (record.path or "")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_files_honour_the_umask(datastore: Datastore, root: Path, ref: Make) -> None:
    before = os.umask(0o027)
    try:
        record = datastore.put({}, ref())
    finally:
        os.umask(before)
    file = root / (record.path or "")
    assert file.stat().st_mode & 0o777 == 0o640
    assert file.parent.stat().st_mode & 0o777 == 0o750


# ----------------------------------------------------------- strangers' repositories


def test_pickles_need_the_callers_trust(root: Path, ref: Make, tmp_path: Path) -> None:
    import pickle

    marker = tmp_path / "ran"
    trusting = Datastore(str(root), trust=True)
    dataset = ref(storage_class="Pickle")
    record = trusting.put({1, 2}, dataset)
    assert trusting.get(dataset, record) == {1, 2}

    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return (marker.write_text, ("x",))

    plain = Datastore(str(root), config={})
    attack = plain.put(pickle.dumps(Attack()), ref(storage_class="Bytes"))
    for key in ("pickle", "lsst.daf.butler.formatters.pickle.PickleFormatter"):
        for storage_class in ("StructuredDataDict", "Pickle"):
            with pytest.raises(TrustError, match="trust=True"):
                plain.get(ref(storage_class=storage_class), attack._replace(formatter=key))
    with pytest.raises(TrustError):
        plain.put({}, dataset)
    assert not marker.exists()


@pytest.mark.parametrize(
    "path",
    [
        "../secret.json",
        "/etc/hostname",
        "datastore/../../secret.json",
        "file:///etc/hostname",
        "registry/format.json",
        "butler.yaml",
    ],
)
def test_a_record_cannot_lead_out(datastore: Datastore, root: Path, ref: Make, path: str) -> None:
    (root.parent / "secret.json").write_text("{}")
    (root / "registry").mkdir()
    (root / "registry" / "format.json").write_text("{}")
    (root / "butler.yaml").write_text("{}")
    record = FileRecord(path, None, "json", "StructuredDataDict", 2, None)
    for act in (
        lambda: datastore.get(ref(), record),
        lambda: datastore.exists(record),
        lambda: datastore.remove([record]),
        lambda: datastore.local_path(record),
        lambda: datastore.uri(ref(), record),
    ):
        with pytest.raises(RepositoryCorruptError, match="names the file"):
            act()
    assert (root.parent / "secret.json").exists()
    assert (root / "registry" / "format.json").exists()


def test_links_that_lead_out_are_not_followed(datastore: Datastore, root: Path, ref: Make) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "secret.json").write_text("{}")
    (root / "datastore").mkdir()
    (root / "datastore" / "dir").symlink_to(outside)
    (root / "datastore" / "link.json").symlink_to(outside / "secret.json")
    (root / "datastore" / "u").symlink_to(outside)
    for path in ("datastore/dir/secret.json", "datastore/link.json"):
        record = FileRecord(path, None, "json", "StructuredDataDict", 2, None)
        with pytest.raises(ExternalFileError, match=r"link|leads out"):
            datastore.get(ref(), record)
        with pytest.raises(ExternalFileError):
            datastore.exists(record)
    with pytest.raises(ExternalFileError):
        datastore.remove([FileRecord("datastore/dir/secret.json", None, "json", "", 2, None)])
    with pytest.raises(ExternalFileError, match="leads out"):
        datastore.put({}, ref(run="u/me/run"))
    datastore.remove([FileRecord("datastore/link.json", None, "json", "", 2, None)])
    assert [p.name for p in outside.iterdir()] == ["secret.json"]


def test_links_inside_the_root_are_followed(datastore: Datastore, root: Path, ref: Make) -> None:
    dataset = ref()
    record = datastore.put({"a": 1}, dataset)
    file = root / (record.path or "")
    file.rename(root / "datastore" / "kept.json")
    file.symlink_to(root / "datastore" / "kept.json")
    assert datastore.get(dataset, record) == {"a": 1}
    assert datastore.exists(record)


def test_an_external_file_is_read_only_where_allowed_and_never_removed(
    datastore: Datastore, root: Path, ref: Make
) -> None:
    file = root.parent / "data" / "x y.json"
    file.parent.mkdir()
    file.write_text('{"a":1}')
    record = FileRecord(None, f"file://{file.parent}/x%20y.json", "json", "StructuredDataDict", 7, None)
    with pytest.raises(ExternalFileError, match="outside the repository") as caught:
        datastore.get(ref(), record)
    assert f"allow_external=['file://{file.parent}']" in str(caught.value)
    assert not datastore.exists(record)
    datastore.allow_external([str(file.parent)])
    assert datastore.get(ref(), record) == {"a": 1}
    assert datastore.exists(record)
    assert datastore.local_path(record) == str(file)
    datastore.remove([record])
    datastore.rollback([])
    assert file.exists()
    with pytest.raises(ExternalFileError):
        datastore.get(ref(), record._replace(uri="http://127.0.0.1:1/x"))
    with pytest.raises(RepositoryCorruptError):
        datastore.get(ref(), record._replace(uri=f"file://{file.parent}/../secret"))


# ------------------------------------------------------------------ a full disk etc.


def test_a_directory_that_cannot_be_written_is_a_storage_error(root: Path, ref: Make) -> None:
    if os.geteuid() == 0:
        target = root / "datastore"
        target.write_text("a file where a directory should be")
        with pytest.raises(StorageError, match="datastore"):
            Datastore(str(root)).put({}, ref())
        return
    root.chmod(0o500)
    with pytest.raises(StorageError, match="Permission denied"):
        Datastore(str(root)).put({}, ref())


def put_with_a_file_size_limit(root: str, dataset: DatasetRef) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        Datastore(root).put("x" * 5000, dataset)
    except StorageError as exc:
        os._exit(0 if "File too large" in str(exc) else 2)
    os._exit(1)


def test_a_write_that_fails_leaves_nothing(root: Path, ref: Make) -> None:
    child = multiprocessing.get_context("fork").Process(
        target=put_with_a_file_size_limit, args=(str(root), ref(storage_class="Text"))
    )
    child.start()
    child.join()
    assert child.exitcode == 0
    assert [p for p in root.rglob("*") if p.is_file()] == []


def test_a_repository_that_is_gone_is_a_storage_error(datastore: Datastore, root: Path, ref: Make) -> None:
    root.rmdir()
    with pytest.raises(StorageError, match="cannot write"):
        datastore.put({}, ref())
    assert not root.exists()


def test_opening_writes_nothing(root: Path, tree: Callable[[Path], dict[str, Any]]) -> None:
    root.rmdir()
    Datastore(str(root), allow_external=["/data"], trust=True)
    assert not root.exists()
