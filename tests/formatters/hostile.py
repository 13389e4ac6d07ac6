# SPDX-License-Identifier: BSD-3-Clause
"""Reads hostile content with every formatter, under an audit hook; run as a program.

Prints what was touched that had no business to be, one line each, and at last the
number of reads.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import struct
import sys
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import Table

from lakebutler.datasets.storage_class import StorageClassFactory
from lakebutler.formatters.factory import formatter_class, formatter_keys, get_formatter
from lakebutler.formatters.formatter import Source

SECRET = sys.argv[1]
URL = "http://127.0.0.1:9/evil"
SAFE = (sys.prefix, sys.base_prefix, os.path.dirname(os.__file__), os.getcwd())
WATCHED = {
    "ctypes.dlopen", "import", "open", "os.exec", "os.mkdir", "os.remove", "os.rename", "os.system",
    "pickle.find_class", "shutil.rmtree", "socket.connect", "socket.getaddrinfo", "subprocess.Popen",
    "urllib.Request",
}  # fmt: skip
watching = False


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if not watching or event not in WATCHED:
        return
    first = str(arguments[0]) if arguments else ""
    if event == "open" and (first.startswith(SAFE) or first.isdigit() or first.startswith("/proc/")):
        return
    if event == "import" and first.partition(".")[0] not in {"this", "antigravity", "hostile_module"}:
        return
    print(event, first)


class Attack:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (f"touch {SECRET}.ran",))


RUN = f"!!python/object/apply:os.system ['touch {SECRET}.ran']"
ECSV = "# %ECSV 1.0\n# ---\n"
MIXIN = f"""# datatype:
# - {{name: a, datatype: int64}}
# meta: !!omap
# - __serialized_columns__:
#     a:
#       __class__: subprocess.Popen
#       args: 'touch {SECRET}.ran'
a
1
"""


def texts() -> list[str]:
    return [
        SECRET,
        URL,
        f"file://{SECRET}",
        RUN,
        f"!include {SECRET}",
        "!!python/module:this",
        f"{ECSV}# meta: {RUN}\na\n1",
        ECSV + MIXIN,
        "a: &a [x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]",
        "[" * 100_000,
        '{"a":' * 50_000,
        "- " * 50_000,
    ]


def numpy_file(dtype: str, shape: str) -> bytes:
    header = f"{{'descr':'{dtype}','fortran_order':False,'shape':{shape}}}".encode().ljust(80)
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def fits_files() -> list[bytes]:
    cards = [("SIMPLE", True), ("BITPIX", -64), ("NAXIS", 2), ("NAXIS1", 10**6), ("NAXIS2", 10**6)]
    strange = {"CTYPE1": "RA---TAB", "CTYPE2": "DEC--TAB", "PS1_0": SECRET, "BUNIT": "9**9**9", "A_ORDER": 99}
    hdu = fits.PrimaryHDU(np.zeros((4, 4)))
    hdu.header.update(strange)
    buffer = io.BytesIO()
    hdu.writeto(buffer)
    return [fits.Header(cards).tostring().encode(), buffer.getvalue()]


def parquet_file() -> bytes:
    column = {
        "name": "a",
        "field_name": "a",
        "pandas_type": "x",
        "numpy_type": "hostile_module.Type",
        "metadata": None,
    }
    metadata = {
        "table_meta_yaml": f"meta: {RUN}",
        "pandas": json.dumps({"columns": [column], "index_columns": []}),
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata(metadata), buffer)
    return buffer.getvalue()


def payloads() -> list[bytes]:
    found = [text.encode() for text in texts()]
    found += [pickle.dumps(Attack()), b"", b"\0" * 3000, b"\x1f\x8b" + b"\0" * 50]
    found += [b"PAR1" + b"\xff" * 40 + b"PAR1", parquet_file()]
    found += [numpy_file("|O", "(9,)"), numpy_file("<f8", "(10**6,)"), numpy_file("<f8", "(1000000000000,)")]
    return found + fits_files()


def warm_up() -> None:
    """Load what reading loads, so that only what the content does is seen."""
    for key, obj in (
        ("json", {}), ("yaml", {}), ("text", ""), ("numpy", np.ones(1)), ("parquet", pa.table({"a": [1]})),
        ("ecsv", Table({"a": [1]})), ("fits_table", Table({"a": [1]})),
        ("fits_image", CCDData(np.ones((2, 2)), unit="adu")),
        ("fits_hdulist", fits.Header()),
    ):  # fmt: skip
        buffer = io.BytesIO()
        get_formatter(key).write(obj, buffer)
        get_formatter(key).read(Source("x", data=buffer.getvalue()))


def main() -> None:
    global watching
    warnings.simplefilter("ignore")
    targets = [
        StorageClassFactory().getStorageClass(n)
        for n in ("DataFrame", "ArrowAstropy", "NumpyArray", "CCDData", "Wcs")
    ]
    keys = [key for key in formatter_keys() if not formatter_class(key).needs_trust and key != "file"]
    everything = payloads()
    warm_up()
    for target in targets:
        assert target.pytype
    sys.addaudithook(watch)
    count = 0
    for key in keys:
        for data in everything:
            watching = True
            with contextlib.suppress(Exception):
                obj = get_formatter(key).read(Source("x", data=data))
                for target in targets:
                    with contextlib.suppress(Exception):
                        target.coerce(obj)
            watching = False
            count += 1
    print(count)


if __name__ == "__main__":
    main()
