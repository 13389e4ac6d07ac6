# SPDX-License-Identifier: BSD-3-Clause
"""Hostile Parquet files of the registry, archives and lake files."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

from tests.hostile.attacks import Site, attack
from tests.hostile.editing import Edited, Json


def compacted(root: Path) -> Edited:
    """The log of the repository with the rows in files."""
    from lakebutler import Butler

    with Butler.from_config(root, writeable=True) as butler:
        butler.repository.lake.compact(everything=True)
    return Edited(root)


def file_of(edited: Edited, table: str) -> str:
    return next(body["path"] for body in edited.actions("add") if body["table"] == table)


def parquet_attack(name: str, table: str = "dimension_detector") -> Any:
    """Add an attack that writes one data file anew, given its content."""

    def wrapped(change: Callable[[Site, bytes], bytes]) -> None:
        def make(site: Site) -> None:
            edited = compacted(site.root)
            path = file_of(edited, table)
            edited.replace_file(path, change(site, (site.root / path).read_bytes()))
            edited.save()

        make.__name__ = f"parquet_{name}"
        attack(make)

    return wrapped


def rewritten(data: bytes, change: Callable[[Any], Any], **options: Any) -> bytes:
    import pyarrow.parquet as pq

    table = change(pq.read_table(io.BytesIO(data)))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


@parquet_attack("garbage")
def _(site: Site, data: bytes) -> bytes:
    return b"\xde\xad" * (len(data) // 2)


@parquet_attack("empty")
def _(site: Site, data: bytes) -> bytes:
    return b""


@parquet_attack("footer_of_ff")
def _(site: Site, data: bytes) -> bytes:
    return data[:-200] + b"\xff" * 192 + data[-8:]


@parquet_attack("footer_length")
def _(site: Site, data: bytes) -> bytes:
    return data[:-8] + b"\xff\xff\xff\x7fPAR1"


@parquet_attack("pages_of_zeros")
def _(site: Site, data: bytes) -> bytes:
    half = len(data) // 3
    return data[:4] + bytes(half) + data[4 + half :]


@parquet_attack("other_columns")
def _(site: Site, data: bytes) -> bytes:
    return rewritten(data, lambda table: table.rename_columns([f"x{n}" for n in range(table.num_columns)]))


@parquet_attack("fewer_columns")
def _(site: Site, data: bytes) -> bytes:
    return rewritten(data, lambda table: table.select(table.column_names[:1]))


@parquet_attack("other_types")
def _(site: Site, data: bytes) -> bytes:
    import pyarrow as pa

    def change(table: Any) -> Any:
        return pa.table(
            {name: pa.array(["x"] * table.num_rows) for name in table.column_names}
        ).replace_schema_metadata(table.schema.metadata)

    return rewritten(data, change)


@parquet_attack("without_metadata")
def _(site: Site, data: bytes) -> bytes:
    return rewritten(data, lambda table: table.replace_schema_metadata(None))


@parquet_attack("metadata_of_garbage")
def _(site: Site, data: bytes) -> bytes:
    return rewritten(data, lambda table: table.replace_schema_metadata({"lakebutler": "[" * 5000}))


@parquet_attack("metadata_of_others")
def _(site: Site, data: bytes) -> bytes:
    first = json.dumps({"first": [[1, 2], "x", {}, None]})
    return rewritten(data, lambda table: table.replace_schema_metadata({"lakebutler": first}))


@parquet_attack("unsorted")
def _(site: Site, data: bytes) -> bytes:
    return rewritten(data, lambda table: table.take(list(reversed(range(table.num_rows)))))


@parquet_attack("more_rows_than_said")
def _(site: Site, data: bytes) -> bytes:
    import pyarrow as pa

    return rewritten(data, lambda table: pa.concat_tables([table] * 50))


@parquet_attack("bomb")
def _(site: Site, data: bytes) -> bytes:
    """A few kilobytes that say they are two gigabytes of text."""
    import pyarrow as pa

    def change(table: Any) -> Any:
        n = 400_000
        columns = {}
        for field in table.schema:
            if pa.types.is_string(field.type):
                columns[field.name] = pa.DictionaryArray.from_arrays(
                    pa.array([0] * n, pa.int32()), pa.array(["x" * 5000])
                )
            else:
                columns[field.name] = pa.nulls(n, field.type)
        return pa.table(columns).replace_schema_metadata(table.schema.metadata)

    return rewritten(data, change, compression="zstd", store_schema=False)


@parquet_attack("nested")
def _(site: Site, data: bytes) -> bytes:
    import pyarrow as pa

    def change(table: Any) -> Any:
        return pa.table({name: pa.array([[["x"]]] * table.num_rows) for name in table.column_names})

    return rewritten(data, change)


@parquet_attack("dataset_paths", "dataset_instrument_detector_exposure")
def _(site: Site, data: bytes) -> bytes:
    import pyarrow as pa

    def change(table: Any) -> Any:
        place = table.column_names.index("path")
        return table.set_column(
            place,
            table.schema.field(place),
            pa.array([f"../{site.secret.name}/secret.json"] * table.num_rows),
        )

    return rewritten(data, change)


@attack
def parquet_statistics_lie(site: Site) -> None:
    edited = compacted(site.root)
    for body in edited.actions("add"):
        body["rows"] = 10**12
        for name in ("first", "last"):
            if name in body:
                body[name] = [None] * len(body[name])
    edited.save()


@attack
def parquet_scopes_lie(site: Site) -> None:
    edited = compacted(site.root)
    for body in edited.actions("add"):
        if "scopes" in body:
            body["scopes"] = [[["nosuch", "../x"], 10**15], [[7], "x"]]
    edited.save()


# ----------------------------------------------------------------- archives, lake files


def packed(site: Site) -> Path:
    from lakebutler.butler.maintenance.pack import pack

    made = site.root.parent / "good.lake"
    pack(site.root, made)
    site.target = made
    return made


def lake_of(site: Site, members: list[tuple[bytes, bytes]], *, marked: bool = True) -> None:
    """A lake file whose publish holds the repository and more: raw headers and contents."""
    from lakebutler.lake.container.layout import (
        END,
        MARK,
        START,
        Mark,
        head_page,
        make_header,
        padding,
        with_mark,
    )

    out, crc = io.BytesIO(), 0
    good = [p for p in sorted(site.root.rglob("*")) if p.is_file() and not p.name.startswith(".")]
    pairs = [(make_header(str(p.relative_to(site.root)), p.stat().st_size, 0), p.read_bytes()) for p in good]
    for header, data in [*pairs, *members]:
        part = header + data + bytes(padding(len(data)))
        crc = crc32(part, crc)
        out.write(part)
    last = make_header(MARK, 0, 0)
    if marked:
        out.write(with_mark(last, Mark(1, crc)))
    made = site.root.parent / "hostile.lake"
    made.write_bytes(head_page(0)[:START] + out.getvalue() + END)
    site.target = made


def header(name: str, size: int, kind: bytes = b"0", link: str = "") -> bytes:
    """The header of a member as tar writes it, whatever it says."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mode = size, kind, link, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT)


MEMBERS: dict[str, Callable[[Site], list[tuple[bytes, bytes]]]] = {
    "up": lambda site: [(header("../evil", 4), b"evil")],
    "absolute": lambda site: [(header(f"{site.secret}/evil"[:99], 4), b"evil")],
    "link": lambda site: [(header("datastore/l", 0, tarfile.SYMTYPE, "/etc/passwd"), b"")],
    "hardlink": lambda site: [(header("datastore/l", 0, tarfile.LNKTYPE, "/etc/passwd"), b"")],
    "device": lambda site: [(header("datastore/l", 0, tarfile.CHRTYPE), b"")],
    "twice": lambda site: [(header("datastore/x", 4), b"evil"), (header("datastore/x", 5), b"twice")],
    "over-format": lambda site: [(header("registry/format.json", 2), b"{}")],
    "huge": lambda site: [(header("datastore/x", 8**11 - 1), b"")],
    "own": lambda site: [(header(".lakebutler/deleted", 10), b"../../x\n\n\n")],
    "index": lambda site: [(header(".lakebutler/index", 4), b"\xff\xff\xff\xff")],
    "escape": lambda site: [(header("datastore/\x1b[31m", 4), b"evil")],
}
for _name, _members in MEMBERS.items():

    def _make_lake(site: Site, members: Any = _members) -> None:
        lake_of(site, members(site))

    _make_lake.__name__ = f"lake_member_{_name}"
    attack(_make_lake)


def slot_attack(name: str) -> Any:
    """Add an attack that writes the newest slot of a lake file anew."""

    def wrapped(change: Callable[[Any], Json]) -> None:
        def make(site: Site) -> None:
            from lakebutler.lake.container.layout import SLOTS, START, encode_slot, newest_slots, slot_offset

            made = packed(site)
            data = bytearray(made.read_bytes())
            slot = newest_slots(bytes(data[:START]), "x")[0]
            fresh = encode_slot(slot._replace(**change(slot)))
            place = slot_offset(slot.seq)
            assert place in SLOTS
            data[place : place + len(fresh)] = fresh
            made.write_bytes(data)

        make.__name__ = f"lake_slot_{name}"
        attack(make)

    return wrapped


slot_attack("entry_outside")(lambda slot: {"recent": b"datastore/x\t999999999999\t100\t0\n"})
slot_attack("entry_head")(lambda slot: {"recent": slot.recent + b"registry/format.json\t600\t100\t0\n"})
slot_attack("entry_up")(lambda slot: {"recent": slot.recent + b"../../x\t40000\t10\t0\n"})
slot_attack("entry_garbage")(lambda slot: {"recent": b"\xff\xfe\tx\ty\tz\n"})
slot_attack("entry_huge")(
    lambda slot: {"recent": slot.recent + b"datastore/x\t40000\t99999999999999999999\t0\n"}
)
slot_attack("length")(lambda slot: {"length": 10**14})
slot_attack("seq")(lambda slot: {"seq": 10**12 - 2})
slot_attack("runs_of_garbage")(
    lambda slot: {"runs": tuple(run._replace(offset=run.offset + 7) for run in slot.runs)}
)


@attack
def lake_cut(site: Site) -> None:
    made = packed(site)
    data = made.read_bytes()
    made.write_bytes(data[: len(data) * 2 // 3])


@attack
def lake_of_zeros(site: Site) -> None:
    made = packed(site)
    made.write_bytes(made.read_bytes()[:36864] + bytes(100_000))


@attack
def lake_newer_reader(site: Site) -> None:
    made = packed(site)
    made.write_bytes(made.read_bytes().replace(b"reader 1\n", b"reader 7\n", 1))


@attack
def zip_for_a_lake(site: Site) -> None:
    site.target = site.root.parent / "archive.lake"
    with zipfile.ZipFile(site.target, "w") as archive:
        archive.writestr("../../evil", "x")
        archive.writestr("butler.yaml", "x")
        archive.writestr("registry/format.json", "{}")


@attack
def plain_tar_for_a_lake(site: Site) -> None:
    site.target = site.root.parent / "archive.lake"
    with tarfile.open(site.target, "w") as archive:
        archive.add(site.root, ".")


@attack
def lake_is_a_pipe(site: Site) -> None:
    import os

    site.target = site.root.parent / "pipe.lake"
    os.mkfifo(site.target)


@attack
def lake_is_a_link(site: Site) -> None:
    made = packed(site)
    site.target = site.root.parent / "link.lake"
    site.target.symlink_to(made)
