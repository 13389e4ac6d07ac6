# SPDX-License-Identifier: BSD-3-Clause
"""Headers read without astropy's HDU machinery are those astropy reads."""

from __future__ import annotations

import gzip
import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from lakebutler.errors import FileFormatError
from lakebutler.instruments.headers.fits_cards import BLOCK, parse_cards, read_units

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=120)
VALUES = st.one_of(
    st.booleans(),
    st.integers(-(10**17), 10**17),
    st.floats(allow_nan=False, allow_infinity=False, width=64),
    TEXT,
)
KEYS = st.one_of(
    st.from_regex(r"[A-Z][A-Z0-9_\-]{0,7}", fullmatch=True),
    st.from_regex(r"[A-Z][A-Z0-9]{2,9}( [A-Z0-9]{2,8}){1,2}", fullmatch=True),
)
RESERVED = {"END", "COMMENT", "HISTORY", "CONTINUE", "HIERARCH", "SIMPLE", "BITPIX", "NAXIS", "EXTEND"}


def astropy_values(header: fits.Header) -> dict[str, object]:
    values: dict[str, object] = {}
    for key in header:
        if key not in {"COMMENT", "HISTORY", ""} and header[key] is not None:
            values.setdefault(key, header[key])
    return values


def file_of(*hdus: object) -> bytes:
    stream = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(stream)
    return stream.getvalue()


def units_of(data: bytes) -> list[dict[str, object]]:
    return [unit.cards for unit in read_units(io.BytesIO(data), len(data))]


@given(st.dictionaries(KEYS.filter(lambda k: k.split()[0] not in RESERVED), VALUES, max_size=12))
def test_any_header_astropy_writes_is_read_as_astropy_reads_it(cards: dict[str, object]) -> None:
    header = fits.Header()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for key, value in cards.items():
            try:
                header[key if len(key) <= 8 and " " not in key else f"HIERARCH {key}"] = value
            except ValueError:
                continue  # a card too long for FITS
        text = header.tostring()
        expected = astropy_values(fits.Header.fromstring(text))
    assert parse_cards(text) == expected


@pytest.mark.parametrize(
    ("card", "value"),
    [
        ("X       =                    T / true", {"X": True}),
        ("X       = 'it''s'   / quote", {"X": "it's"}),
        ("X       = 'a / b'", {"X": "a / b"}),
        ("X       =               1.5D-3", {"X": 0.0015}),
        ("X       = 12", {"X": 12}),
        ("X       =                  -.5", {"X": -0.5}),
        ("X       =                     / undefined", {}),
        ("X       = '        '", {"X": ""}),
        ("X       = (1.0, 2.0)", {"X": 1 + 2j}),
        ("HIERARCH ESO DET CHIP = 'a' / long key", {"ESO DET CHIP": "a"}),
        ("COMMENT = 'this is a comment'", {}),
        ("junk that is no card at all", {}),
    ],
)
def test_a_card_has_the_value_the_standard_gives_it(card: str, value: dict[str, object]) -> None:
    assert parse_cards(card.ljust(80)) == value


def test_the_first_of_repeated_cards_counts() -> None:
    assert parse_cards("A       = 1".ljust(80) + "A       = 2".ljust(80)) == {"A": 1}


def test_a_long_string_is_put_together_again() -> None:
    header = fits.Header()
    header["LONG"] = "x y " * 50
    assert parse_cards(header.tostring())["LONG"] == ("x y " * 50).rstrip()


def test_every_unit_of_a_file_is_found_without_reading_its_data() -> None:
    table = fits.BinTableHDU.from_columns(
        [fits.Column("a", "PE()", array=np.array([[1.0], [1.0, 2.0]], dtype=object))]
    )
    data = file_of(
        fits.PrimaryHDU(),
        fits.ImageHDU(np.zeros((3, 700), np.int16), name="ONE"),
        table,
        fits.CompImageHDU(np.arange(10000, dtype=np.int16).reshape(100, 100), name="TWO"),
    )
    units = list(read_units(io.BytesIO(data), len(data)))
    assert [u.cards.get("EXTNAME") for u in units] == [None, "ONE", None, "TWO"]
    assert [u.has_image for u in units] == [False, True, False, True]
    with fits.open(io.BytesIO(data), disable_image_compression=True) as hdus:
        assert [u.offset for u in units] == [hdu.fileinfo()["datLoc"] for hdu in hdus]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_truncated_file_is_told_from_a_whole_one(packed: bool) -> None:
    data = file_of(fits.PrimaryHDU(np.zeros((100, 100), np.int16)), fits.ImageHDU(np.zeros(9000, np.int16)))
    whole = gzip.compress(data) if packed else data
    assert len(units_of(whole)) == 2
    for cut in (len(whole) - (8 if packed else 2900), len(whole) // 3, 100):
        with pytest.raises(FileFormatError, match=r"truncated"):
            units_of(whole[:cut])


def test_missing_padding_at_the_end_is_no_fault() -> None:
    data = file_of(fits.PrimaryHDU(np.zeros((100, 100), np.int16)))
    assert len(units_of(data[: BLOCK + 20000])) == 1


def test_a_damaged_gzip_file_is_told() -> None:
    packed = bytearray(gzip.compress(file_of(fits.PrimaryHDU(np.arange(9999, dtype=np.int16)))))
    packed[-6] ^= 0xFF  # the checksum
    with pytest.raises(FileFormatError, match="damaged"):
        units_of(bytes(packed))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello" * 1000, "not a FITS file"),
        (b"SIMPLE  =".ljust(2880), "without END|truncated"),
        (b"SIMPLE  =                    T".ljust(80) + b"END".ljust(2800), "BITPIX is missing"),
        (
            b"".join(
                c.ljust(80) for c in (b"SIMPLE  = T", b"BITPIX  = 16", b"NAXIS   = 1", b"NAXIS1  = -5")
            ).ljust(2800)
            + b"END".ljust(80),
            "length",
        ),
    ],
)
def test_what_is_no_fits_file_is_said_to_be_none(data: bytes, reason: str) -> None:
    with pytest.raises(FileFormatError, match=reason):
        units_of(data)


def test_real_headers_are_read_as_astropy_reads_them(shared_data: Path) -> None:
    paths = sorted(shared_data.glob("gen2_obs_test/data/**/*.fits.gz")) + sorted(
        shared_data.glob("gen3_repos/**/*.fits")
    )
    assert paths
    for path in paths:
        with path.open("rb") as stream, fits.open(path, disable_image_compression=True) as hdus:
            units = list(read_units(stream, path.stat().st_size))
            assert len(units) == len(hdus)
            for unit, hdu in zip(units, hdus, strict=True):
                assert unit.cards == astropy_values(hdu.header)
