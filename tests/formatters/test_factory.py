# SPDX-License-Identifier: BSD-3-Clause
"""Which formatter a key means, and that a key is never imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import pytest

from lakebutler.errors import FileFormatError
from lakebutler.formatters import factory
from lakebutler.formatters.factory import (
    formatter_for_file,
    formatter_keys,
    get_formatter,
    key_of,
    parse_key,
    register_formatter,
)
from lakebutler.formatters.formatter import Formatter, Source


class UpperFormatter(Formatter):
    key = "upper"
    extension = ".up"

    def read(
        self, source: Source, component: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> str:
        return source.read().decode().lower()

    def write(self, obj: str, file: BinaryIO) -> None:
        file.write(obj.upper().encode())


@pytest.fixture
def upper() -> Iterator[type[Formatter]]:
    register_formatter(UpperFormatter)
    yield UpperFormatter
    del factory._registered["upper"]
    get_formatter.cache_clear()


@pytest.mark.parametrize("key", formatter_keys())
def test_every_key_gives_the_formatter_of_that_key(key: str) -> None:
    assert get_formatter(key, trust=True).key == key


def test_a_formatter_of_the_program_is_found_by_its_key(upper: type[Formatter]) -> None:
    assert type(get_formatter("upper")) is upper
    assert "upper" in formatter_keys()


def test_two_formatters_cannot_have_one_key(upper: type[Formatter]) -> None:
    other = type("Other", (UpperFormatter,), {})
    with pytest.raises(FileFormatError, match="upper"):
        register_formatter(other)
    with pytest.raises(FileFormatError, match="json"):
        register_formatter(type("Other", (UpperFormatter,), {"key": "json"}))


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(FileFormatError, match="jason") as caught:
        get_formatter("jason")
    assert "'json'" in str(caught.value)
    assert "Bytes" in str(caught.value)


@pytest.mark.parametrize(
    "key", ["this.s", "os.system", "antigravity", "lakebutler.formatters.json", "json:x", "../json"]
)
def test_a_key_is_never_imported(key: str) -> None:
    code = (
        "import sys\nfrom lakebutler.formatters.factory import get_formatter\n"
        "before = set(sys.modules)\n"
        f"try: get_formatter({key!r})\nexcept ValueError: pass\nelse: raise SystemExit('no error')\n"
        "new = {m.partition('.')[0] for m in set(sys.modules) - before}\n"
        "raise SystemExit(' '.join(new & {'this', 'antigravity', 'os', 'x'}) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
    assert done.returncode == 0


def test_class_names_of_the_incumbent_are_understood_as_texts() -> None:
    assert get_formatter("lsst.daf.butler.formatters.parquet.ParquetFormatter").key == "parquet"
    assert "lsst.daf.butler.formatters" not in sys.modules


def test_options_belong_to_the_key() -> None:
    assert parse_key("fits_image?hdu=3&x=a%20b") == ("fits_image", {"hdu": "3", "x": "a b"})
    formatter = get_formatter("fits_image?hdu=3")
    assert formatter.chosen == {"hdu": 3}
    assert key_of(formatter) == "fits_image?hdu=3"
    assert get_formatter("fits_image?hdu=N2").chosen == {"hdu": "N2"}


@pytest.mark.parametrize("key", ["fits_image?hdo=3", "json?hdu=3"])
def test_an_option_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(FileFormatError, match="option"):
        get_formatter(key)


def test_a_formatter_is_given_by_key_class_or_object(upper: type[Formatter]) -> None:
    assert key_of("json") == "json"
    assert key_of(upper) == "upper"
    assert key_of(upper()) == "upper"
    assert key_of("lsst.meas.x.SomeFormatter") == "lsst.meas.x.SomeFormatter"
    for wrong in ("jsn", 3, object):
        with pytest.raises(FileFormatError):
            key_of(wrong)


@pytest.mark.parametrize(
    ("path", "keys", "expected"),
    [
        ("a/b.yaml", ["json", "yaml"], "yaml"),
        ("a/b.JSON", ["yaml", "json"], "json"),
        ("a/b.dat", ["json", "yaml"], "json"),
        ("x.fits.gz", ["fits_table", "ecsv"], "fits_table"),
        ("x.ecsv", ["fits_table", "ecsv"], "ecsv"),
        ("x.dat", [], None),
    ],
)
def test_a_file_chooses_among_the_formatters_of_its_storage_class(
    path: str, keys: list[str], expected: str | None
) -> None:
    assert formatter_for_file(keys, path) == expected


def test_nothing_heavy_is_loaded_to_know_the_formatters() -> None:
    code = (
        "import sys\nfrom lakebutler.formatters.factory import formatter_keys, get_formatter\n"
        "[get_formatter(k, trust=True) for k in formatter_keys()]\n"
        "bad = {'numpy', 'astropy', 'pyarrow', 'pandas', 'matplotlib', 'yaml'} & set(sys.modules)\n"
        "raise SystemExit(' '.join(sorted(bad)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
    assert done.returncode == 0
