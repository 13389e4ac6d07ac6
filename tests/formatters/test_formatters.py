# SPDX-License-Identifier: BSD-3-Clause
"""Every formatter keeps the contract; each with the objects it is for."""

from __future__ import annotations

import contextlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time
from astropy.wcs import WCS

from lakebutler.datasets.storage_class import StorageClassFactory
from lakebutler.errors import FileFormatError, TrustError
from lakebutler.formatters.factory import get_formatter
from lakebutler.formatters.formatter import Source
from lakebutler.testing.formatter import FormatterTests


class TestJson(FormatterTests):
    formatter = get_formatter("json")
    wrong_objects = (
        {1: "a"},
        {"a": {2: 3}},
        [{"a": [{None: 1}]}],
        {"a": {1, 2}},
        {"a": 1j},
        object(),
        "\ud800",
    )

    @pytest.fixture(
        params=[{}, [], None, 1.5, "ü", {"a": [1, {"b": None}], "é": "\n\u2028"}, [2**70, -0.1, True]]
    )
    def obj(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    def test_not_a_number_and_infinity_come_back(self) -> None:
        read = self.formatter.read(Source("x", data=self.write([float("nan"), float("inf")])))
        assert np.isnan(read[0])
        assert read[1] == float("inf")

    def test_deep_nesting_is_an_error_that_can_be_caught(self) -> None:
        with pytest.raises(RecursionError):
            self.formatter.read(Source("x", data=b"[" * 200_000))

    def test_a_list_that_contains_itself_is_refused(self) -> None:
        loop: list[Any] = []
        loop.append(loop)
        with pytest.raises(FileFormatError, match=r"itself|circular|Circular"):
            self.write(loop)


class TestYaml(FormatterTests):
    formatter = get_formatter("yaml")
    wrong_objects = (
        {"a": object()},
        {"a": 1j},
    )

    @pytest.fixture(params=[{1: "a", None: 2.5}, {"a": [1, {"b": b"\x00"}]}, ["ü", "line\nline", ""]])
    def obj(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    @pytest.mark.parametrize(
        "text",
        ["!!python/object/apply:os.system ['true']", "!!python/name:os.system", "a: !include /etc/passwd"],
    )
    def test_tags_that_make_objects_are_refused(self, text: str) -> None:
        import yaml

        with pytest.raises(yaml.YAMLError):
            self.formatter.read(Source("x", data=text.encode()))


class TestText(FormatterTests):
    formatter = get_formatter("text")
    wrong_objects = (
        b"bytes",
        1,
        "\ud800",
    )

    @pytest.fixture(params=["", "one\r\ntwo\n", "ü\u2028\x00"])
    def obj(self, request: pytest.FixtureRequest) -> Any:
        return request.param


class TestBytes(FormatterTests):
    formatter = get_formatter("bytes")
    wrong_objects = (
        "text",
        1,
    )
    any_bytes = True

    @pytest.fixture(params=[b"", b"\x00\xff" * 1000])
    def obj(self, request: pytest.FixtureRequest) -> Any:
        return request.param


class TestFile(FormatterTests):
    formatter = get_formatter("file")
    wrong_objects = (1,)
    any_bytes = True

    @pytest.fixture
    def obj(self, tmp_path: Path) -> Any:
        path = tmp_path / "some.thing"
        path.write_bytes(b"content")
        return path

    def assert_same(self, read: Any, written: Any) -> None:
        assert (read if isinstance(read, bytes) else read.read_bytes()) == written.read_bytes()


class TestNumpy(FormatterTests):
    formatter = get_formatter("numpy")
    wrong_objects = (
        np.array([object()]),
        np.ma.masked_array([1, 2], [True, False]),
    )

    @pytest.fixture(
        params=[
            np.arange(12.0).reshape(3, 4),
            np.array(5),
            np.zeros((0, 3), ">i2"),
            np.array([(1, "a")], dtype=[("x", "i8"), ("y", "U3")]),
            np.asfortranarray(np.ones((2, 3), "c8")),
        ],
        ids=["floats", "scalar", "empty", "structured", "fortran"],
    )
    def obj(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    def assert_same(self, read: Any, written: Any) -> None:
        assert read.dtype == written.dtype
        assert read.shape == written.shape
        assert (read == written).all()

    def test_a_pickled_array_is_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "x.npy"
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        for source in (Source("x", path=str(path)), Source("x", data=path.read_bytes())):
            with pytest.raises(ValueError, match=r"allow_pickle|[Pp]ickle"):
                self.formatter.read(source)


class TestPickle(FormatterTests):
    formatter = get_formatter("pickle", trust=True)
    wrong_objects = (lambda: None,)

    @pytest.fixture(params=[{"a": {1, 2}}, complex(1, 2)])
    def obj(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    def test_it_is_not_given_to_who_did_not_say_trust(self) -> None:
        with pytest.raises(TrustError, match="trust=True"):
            get_formatter("pickle")
        with pytest.raises(TrustError):
            get_formatter("lsst.daf.butler.formatters.pickle.PickleFormatter")


def make_wcs() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 2.0]
    wcs.wcs.crpix = [3.0, 4.0]
    wcs.wcs.cd = [[-5e-5, 1e-6], [1e-6, 5e-5]]
    wcs.wcs.set()
    return wcs


def ccd(dtype: str = "f4", **kwargs: Any) -> CCDData:
    pixels = np.random.default_rng(5).integers(0, 200, (7, 9)).astype(dtype)
    return CCDData(pixels, **{"unit": "adu", **kwargs})


class TestFitsImage(FormatterTests):
    formatter = get_formatter("fits_image")
    wrong_objects = (
        ccd("c8"),
        CCDData(np.ones((2, 2), bool), unit="adu"),
    )
    part_parameters = (
        {"bbox": (2, 1, 6, 5)},
        {"section": "[3:6,2:5]"},
        {"section": (slice(1, 5),)},
    )

    @pytest.fixture(
        params=[
            ccd("f4"),
            ccd("u2", meta={"EXPTIME": 30.0, "a longer key": "x"}),
            ccd("i2", unit="electron / s", wcs=make_wcs()),
            ccd("u4", mask=np.eye(7, 9, dtype=bool)),
            ccd("f8", uncertainty=StdDevUncertainty(np.ones((7, 9), "f4")), mask=np.zeros((7, 9), bool)),
            ccd("u1", uncertainty=VarianceUncertainty(np.full((7, 9), 2.0)), psf=np.ones((3, 3))),
            ccd("i8", uncertainty=InverseVariance(np.full((7, 9), 2.0), unit="1 / adu2"), wcs=make_wcs()),
        ],
        ids=["f4", "u2", "i2", "u4", "f8", "u1", "i8"],
    )
    def obj(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    def assert_same(self, read: Any, written: Any) -> None:
        assert type(read) is CCDData
        assert read.data.dtype == written.data.dtype
        assert (read.data == written.data).all()
        assert read.unit == written.unit
        assert (read.mask is None) == (written.mask is None)
        assert read.mask is None or (read.mask == written.mask).all()
        assert type(read.uncertainty) is type(written.uncertainty)
        if written.uncertainty is not None:
            assert (read.uncertainty.array == written.uncertainty.array).all()
            assert read.uncertainty.unit == written.uncertainty.unit
        assert (read.psf is None) == (written.psf is None)
        assert (read.wcs is None) == (written.wcs is None)
        if written.wcs is not None:
            assert np.allclose(
                read.wcs.wcs_pix2world([[1, 2]], 0), written.wcs.wcs_pix2world([[1, 2]], 0), atol=1e-9
            )
        for key, value in written.meta.items():
            if key not in {"COMMENT", "HISTORY", ""}:
                assert read.meta[key] == value

    def test_components_are_parts_of_the_whole(self) -> None:
        image = ccd(
            "f4",
            mask=np.eye(7, 9, dtype=bool),
            uncertainty=VarianceUncertainty(np.ones((7, 9))),
            wcs=make_wcs(),
        )
        source = Source("x", data=self.write(image))
        assert (self.formatter.read(source, "data") == image.data).all()
        assert (self.formatter.read(source, "mask") == image.mask).all()
        assert isinstance(self.formatter.read(source, "variance"), VarianceUncertainty)
        assert self.formatter.read(source, "wcs").wcs.crval[0] == 150.0
        assert self.formatter.read(source, "header")["BUNIT"] == "adu"

    def test_a_part_keeps_its_place_on_the_sky(self) -> None:
        source = Source("x", data=self.write(ccd("f4", wcs=make_wcs(), mask=np.eye(7, 9, dtype=bool))))
        part = self.formatter.read(source, None, {"bbox": (2, 3, 9, 7)})
        assert part.shape == (4, 7)
        assert (part.mask == np.eye(7, 9, dtype=bool)[3:7, 2:9]).all()
        assert np.allclose(part.wcs.wcs_pix2world([[0, 0]], 0), make_wcs().wcs_pix2world([[2, 3]], 0))

    @pytest.mark.parametrize(
        "wrong",
        [
            {"bbox": (0, 0, 10, 7)},
            {"bbox": (5, 0, 5, 2)},
            {"bbox": (-1, 0, 5, 2)},
            {"bbox": "all"},
            {"section": "[0:3,1:2]"},
            {"section": "rows"},
            {"section": (slice(0, 4, 2),)},
            {"section": "[1:2,1:2]", "bbox": (0, 0, 1, 1)},
        ],
    )
    def test_a_part_that_is_none_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(FileFormatError, match=r"section|bbox"):
            self.formatter.read(Source("x", data=self.write(ccd())), None, wrong)

    def test_only_the_part_of_a_large_file_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "large.fits"
        fits.PrimaryHDU(np.zeros((2000, 1000), "i2")).writeto(path)
        size = path.stat().st_size
        with open(path, "r+b") as stream:  # a hole where nobody has to look
            stream.truncate(size - 2880)
            stream.truncate(size)
        part = self.formatter.read(Source("x", path=str(path)), None, {"bbox": (10, 20, 30, 60)})
        assert part.shape == (40, 20)

    def test_astropy_reads_our_files_and_we_read_its(self, tmp_path: Path) -> None:
        image = ccd(
            "f4",
            mask=np.eye(7, 9, dtype=bool),
            uncertainty=StdDevUncertainty(np.ones((7, 9))),
            wcs=make_wcs(),
        )
        (tmp_path / "ours.fits").write_bytes(self.write(image))
        theirs = CCDData.read(tmp_path / "ours.fits")
        theirs.data = theirs.data.astype("f4")
        theirs.uncertainty.array = theirs.uncertainty.array.astype("f8")
        self.assert_same(theirs, image)
        image.write(tmp_path / "theirs.fits")
        self.assert_same(self.formatter.read(Source("x", path=str(tmp_path / "theirs.fits"))), image)

    def test_an_image_without_unit_is_in_adu(self, tmp_path: Path) -> None:
        fits.PrimaryHDU(np.ones((3, 3))).writeto(tmp_path / "x.fits")
        assert self.formatter.read(Source("x", path=str(tmp_path / "x.fits"))).unit == u.adu

    def test_a_strange_unit_is_kept(self, tmp_path: Path) -> None:
        hdu = fits.PrimaryHDU(np.ones((3, 3)))
        hdu.header["BUNIT"] = "ADU/pixel/frob"
        hdu.writeto(tmp_path / "x.fits")
        image = self.formatter.read(Source("x", path=str(tmp_path / "x.fits")))
        assert str(image.unit) == "ADU/pixel/frob"


class TestFitsUncertainty(FormatterTests):
    formatter = get_formatter("fits_uncertainty")
    wrong_objects = (StdDevUncertainty(np.ones((2, 2), "c8")),)

    @pytest.fixture(
        params=[
            StdDevUncertainty(np.arange(6, dtype="f4").reshape(2, 3)),
            VarianceUncertainty(np.full((7, 9), 2.0)),
            InverseVariance(np.full((7, 9), 2.0), unit="1 / adu2"),
        ],
        ids=["std", "var", "ivar"],
    )
    def obj(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    def assert_same(self, read: Any, written: Any) -> None:
        assert type(read) is type(written)
        assert read.array.dtype == written.array.dtype
        assert read.array.dtype.isnative
        assert (read.array == written.array).all()
        assert read.unit == written.unit

    def test_a_file_without_one_is_refused(self) -> None:
        image = get_formatter("fits_image")
        buffer = io.BytesIO()
        image.write(ccd("f4"), buffer)
        with pytest.raises(FileFormatError, match="uncertainty"):
            self.formatter.read(Source("x", data=buffer.getvalue()))


class TestFitsHduList(FormatterTests):
    formatter = get_formatter("fits_hdulist")
    wrong_objects = (
        "text",
        1,
    )
    part_parameters = (
        {"hdu": 1},
        {"hdu": "SECOND"},
        {"hdu": 0},
    )

    @pytest.fixture
    def obj(self) -> Any:
        table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(3))], name="SECOND")
        primary = fits.PrimaryHDU()
        primary.header["OBJECT"] = "M31"
        return fits.HDUList(
            [primary, fits.ImageHDU(np.arange(6, dtype="u2").reshape(2, 3), name="FIRST"), table]
        )

    def assert_same(self, read: Any, written: Any) -> None:
        assert len(read) == len(written)
        for one, two in zip(read, written, strict=True):
            assert type(one) is type(two)
            assert one.name == two.name
            assert fits.HDUDiff(one, two, ignore_keywords=["EXTEND"]).identical

    def test_it_reads_compressed_images(self, tmp_path: Path) -> None:
        pixels = np.arange(400, dtype="u2").reshape(20, 20)
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels, name="S1")]).writeto(
            tmp_path / "x.fits.fz"
        )
        read = self.formatter.read(Source("x", path=str(tmp_path / "x.fits.fz")))
        assert read["S1"].data.dtype == np.uint16
        assert (read["S1"].data == pixels).all()

    @pytest.mark.parametrize("which", [None, "NAMES"])
    def test_columns_of_variable_length_are_read_whole(self, tmp_path: Path, which: str | None) -> None:
        words = np.array([np.frombuffer(w, "u1") for w in (b"LATISS", b"RXX_S00", b"")], dtype=object)
        lists = np.array([np.arange(n, dtype="i4") for n in (3, 0, 5)], dtype=object)
        columns = [fits.Column("word", "PB(7)", array=words), fits.Column("list", "QJ()", array=lists)]
        table = fits.BinTableHDU.from_columns(
            [*columns, fits.Column("n", "J", array=[1, 2, 3])], name="NAMES"
        )
        path = tmp_path / "names.fits"
        fits.HDUList([fits.PrimaryHDU(), table, fits.ImageHDU(np.ones((2, 2)))]).writeto(path)
        read = self.formatter.read(Source("x", path=str(path)), None, {"hdu": which} if which else None)
        path.unlink()
        for found in (read, self.formatter.read(Source("x", data=self.write(read)))):
            data = found["NAMES"].data
            assert [bytes(w) for w in data["word"]] == [b"LATISS", b"RXX_S00", b""]
            assert [list(one) for one in data["list"]] == [[0, 1, 2], [], [0, 1, 2, 3, 4]]
            assert data["n"].tolist() == [1, 2, 3]

    def test_a_real_archive_of_the_pipelines_is_read(self, shared_data: Path) -> None:
        folder = shared_data / "gen3_repos/latiss/LATISS/calib/unbounded/camera"
        read = self.formatter.read(
            Source("x", path=str(folder / "camera_LATISS_LATISS_calib_unbounded.fits"))
        )
        assert "".join(read[7].data["name"][0]) == "LATISS"
        assert len(self.write(read)) > 50_000

    def test_a_header_alone_can_be_written(self) -> None:
        header = fits.Header([("OBJECT", "M31"), ("EXPTIME", 3.5)])
        read = self.formatter.read(Source("x", data=self.write(header)))
        assert StorageClassFactory().getStorageClass("FitsHeader").coerce(read)["OBJECT"] == "M31"

    def test_world_coordinates_alone_can_be_written(self) -> None:
        read = self.formatter.read(Source("x", data=self.write(make_wcs())))
        wcs = StorageClassFactory().getStorageClass("Wcs").coerce(read)
        assert np.allclose(wcs.wcs_pix2world([[1, 2]], 0), make_wcs().wcs_pix2world([[1, 2]], 0))

    def test_an_hdu_that_is_not_there_is_named(self, obj: Any) -> None:
        with pytest.raises(FileFormatError, match="THIRD") as caught:
            self.formatter.read(Source("x", data=self.write(obj)), None, {"hdu": "THIRD"})
        assert "SECOND" in str(caught.value)


def same_tables(read: Any, written: Any) -> None:
    assert read.colnames == written.colnames
    assert len(read) == len(written)
    for name in written.colnames:
        assert str(read[name].info.unit) == str(written[name].info.unit)
        if isinstance(written[name], Time | SkyCoord):
            assert isinstance(read[name], type(written[name]))
            assert repr(read[name]) == repr(written[name])
        else:
            assert np.asarray(read[name]).shape == np.asarray(written[name]).shape
            assert (np.ma.getmaskarray(read[name]) == np.ma.getmaskarray(written[name])).all()
            assert np.ma.allequal(read[name], written[name])


TABLES = {
    "plain": Table({"a": np.arange(3), "b": ["x", "yy", "ü"], "c": [1.5, 2.5, -1.0]}, meta={"NOTE": "here"}),
    "units": Table({"flux": u.Quantity([1.0, 2.0], u.nJy), "n": np.array([1, 2], "i2")}),
    "masked": Table({"a": MaskedColumn([1, 2, 3], mask=[False, True, False]), "c": [1.0, 2.0, 3.0]}),
    "vectors": Table({"v": np.arange(12.0).reshape(3, 4), "w": np.arange(12).reshape(3, 2, 2)}),
    "empty": Table({"a": np.zeros(0), "n": np.zeros(0, "i8")}),
}


class TestFitsTable(FormatterTests):
    formatter = get_formatter("fits_table")
    wrong_objects = (
        {"a": [1]},
        Table({"a": np.array([object()], dtype=object)}),
    )

    @pytest.fixture(params=list(TABLES))
    def obj(self, request: pytest.FixtureRequest) -> Any:
        if request.param == "plain":
            return Table({"a": np.arange(3), "b": ["x", "yy", "z"]}, meta={"NOTE": "here"})
        return TABLES[request.param]

    def assert_same(self, read: Any, written: Any) -> None:
        same_tables(read, written)

    def test_times_and_coordinates_survive(self) -> None:
        table = QTable(
            {"t": Time([58000.5, 59000.25], format="mjd"), "c": SkyCoord([1, 2], [3, 4], unit="deg")}
        )
        read = self.formatter.read(Source("x", data=self.write(table)))
        assert np.allclose(read["t"].mjd, table["t"].mjd, rtol=0, atol=1e-12)
        assert (read["c"].ra == table["c"].ra).all()


class TestEcsv(FormatterTests):
    formatter = get_formatter("ecsv")

    @pytest.fixture(params=["plain", "units", "vectors"])
    def obj(self, request: pytest.FixtureRequest) -> Any:
        return TABLES[request.param]

    def assert_same(self, read: Any, written: Any) -> None:
        same_tables(read, written)


class TestParquet(FormatterTests):
    formatter = get_formatter("parquet")
    wrong_objects = (
        "text",
        1,
    )
    part_parameters = (
        {"columns": "a"},
        {"columns": ["a"]},
        {"filters": [("a", ">", 1)]},
    )

    @pytest.fixture(params=["numbers", "nulls", "empty"])
    def obj(self, request: pytest.FixtureRequest) -> Any:
        if request.param == "nulls":
            return pa.table({"a": [1, None, 3], "s": ["x", None, ""]})
        n = 0 if request.param == "empty" else 5
        return pa.table(
            {"a": pa.array(range(n), pa.int32()), "v": pa.array([[1.0, 2.0]] * n, pa.list_(pa.float64(), 2))}
        )

    def assert_same(self, read: Any, written: Any) -> None:
        assert read.equals(written)

    def test_components_do_not_need_the_rows(self) -> None:
        source = Source("x", data=self.write(pa.table({"a": [1, 2], "b": ["x", "y"]})))
        assert self.formatter.read(source, "rowcount") == 2
        assert self.formatter.read(source, "schema").names == ["a", "b"]
        columns = self.formatter.read(source, "columns")
        factory = StorageClassFactory()
        assert factory.getStorageClass("ArrowColumnList").coerce(columns) == ["a", "b"]
        assert list(factory.getStorageClass("DataFrameIndex").coerce(columns)) == ["a", "b"]

    def test_a_column_that_is_not_there_is_named(self) -> None:
        source = Source("x", data=self.write(pa.table({"alpha": [1]})))
        with pytest.raises(FileFormatError, match="alhpa") as caught:
            self.formatter.read(source, None, {"columns": ["alhpa"]})
        assert "'alpha'" in str(caught.value)

    def test_a_data_frame_comes_back_with_its_index(self) -> None:
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame({"x": [1.5, None], "y": ["a", "b"]}, index=pd.Index([7, 8], name="id"))
        read = self.formatter.read(Source("x", data=self.write(frame)), None, {"columns": ["x"]})
        again = StorageClassFactory().getStorageClass("DataFrame").coerce(read)
        pd.testing.assert_frame_equal(again, frame[["x"]])


class TestFigure(FormatterTests):
    formatter = get_formatter("figure")
    wrong_objects = (
        1,
        b"no picture",
    )

    @pytest.fixture
    def obj(self) -> Any:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(2, 1), dpi=50)
        figure.subplots().plot([1, 2], [3, 4])
        return figure

    def assert_same(self, read: Any, written: Any) -> None:
        assert read.pixels().shape == (50, 100, 4)
        assert read == self.write(written)

    def test_a_picture_shows_itself(self, data: bytes) -> None:
        picture = self.formatter.read(Source("x", data=data))
        assert picture._repr_png_() == data
        assert str(picture) == "<PNG picture of 100 by 50 pixels>"


def test_a_pickle_in_disguise_does_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return (marker.write_text, ("x",))

    data = pickle.dumps(Attack())
    for key in (
        "json",
        "yaml",
        "text",
        "numpy",
        "parquet",
        "fits_image",
        "fits_hdulist",
        "fits_table",
        "ecsv",
        "figure",
    ):
        with contextlib.suppress(Exception):
            get_formatter(key).read(Source("x", data=data))
    assert not marker.exists()
