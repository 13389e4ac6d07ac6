# SPDX-License-Identifier: BSD-3-Clause
"""Damage to datasets is found; what nobody refers to is removed, and nothing else; versions go."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from lakebutler import (
    Butler,
    ButlerUserError,
    NotARepositoryError,
    ReadOnlyButlerError,
    RepositoryCorruptError,
    SnapshotNotFoundError,
)
from lakebutler.butler.maintenance.garbage import collect_garbage, vacuum
from lakebutler.butler.maintenance.verify import Report, verify
from tests.butler.world import DETECTORS, EXPOSURES, Place, note_id

DAY = 86400


@pytest.fixture
def full(butler: Butler, place: Place) -> list[str]:
    """Paths of the files of twelve notes."""
    with butler.transaction():
        for exposure in EXPOSURES:
            for detector in DETECTORS:
                butler.put({"n": exposure}, "note", note_id(exposure, detector))
    return sorted(place.files())


def look(place: Place, **options: object) -> Report:
    return verify(place.url, storage_options=place.storage_options, **options)  # type: ignore[arg-type]


def damage(place: Place, **options: object) -> set[tuple[str, str]]:
    return {(f.kind, f.object) for f in look(place, **options).findings if f.damage}


def spoil(place: Place, path: str, content: bytes | None) -> None:
    """Write over a file, or remove it."""
    if not place.remote:
        target = Path(place.url) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink() if content is None else target.write_bytes(content)
        return
    import fsspec

    filesystem, root = fsspec.core.url_to_fs(place.url, **place.storage_options)
    filesystem.rm_file(f"{root}/{path}") if content is None else filesystem.pipe_file(
        f"{root}/{path}", content
    )


def content_of(place: Place, path: str) -> bytes:
    if not place.remote:
        return (Path(place.url) / path).read_bytes()
    import fsspec

    filesystem, root = fsspec.core.url_to_fs(place.url, **place.storage_options)
    return filesystem.cat_file(f"{root}/{path}")


def test_what_is_whole_is_not_complained_of(place: Place, full: list[str]) -> None:
    report = look(place)
    assert not report.findings
    assert report.datasets is not None
    assert (report.datasets.files, report.datasets.hashed) == (len(full), len(full))
    assert not look(place, files=False).findings
    assert not look(place, expect=report.registry.sha256).damaged
    assert look(place, expect="00").damaged


def test_damage_to_datasets_is_named(place: Place, full: list[str]) -> None:
    gone, cut, flipped, *_ = full
    content = bytearray(content_of(place, flipped))
    content[3] ^= 1
    spoil(place, gone, None)
    spoil(place, cut, content_of(place, cut)[:-1])
    spoil(place, flipped, bytes(content))
    spoil(place, "datastore/left/over.txt", b"left")
    report = look(place)
    wanted = {("missing file", gone), ("damaged file", cut), ("damaged file", flipped)}
    assert {(f.kind, f.object) for f in report.findings if f.damage} == wanted
    assert all("note in u/test" in f.detail for f in report.findings if f.damage)
    assert [(f.kind, f.object) for f in report.findings if not f.damage] == [
        ("orphan", "datastore/left/over.txt")
    ]
    assert damage(place, files=False) == wanted - {("damaged file", flipped)}


def test_damage_to_the_registry_is_named_and_stops_the_removing(local_butler: Butler, local: Place) -> None:
    butler = local_butler
    butler.put({"n": 1}, "note", note_id())
    last = f"registry/log/{butler.version - 1:020d}.json"
    spoil(local, last, content_of(local, last)[:-9])
    report = look(local)
    assert ("damaged entry", last) in {(f.kind, f.object) for f in report.findings}
    assert report.damaged
    spoil(local, "datastore/left.txt", b"left")
    os.utime(Path(local.url) / "datastore/left.txt", (1e9, 1e9))
    with pytest.raises(RepositoryCorruptError):
        collect_garbage(butler.repository, delete=True)
    with pytest.raises(RepositoryCorruptError):
        vacuum(butler.repository, timedelta(0), offline=True, delete=True)
    assert (Path(local.url) / "datastore/left.txt").exists()
    with pytest.raises(NotARepositoryError):
        verify(Path(local.url) / "datastore")


def test_only_what_is_forgotten_and_old_is_removed(local_butler: Butler, local: Place) -> None:
    butler = local_butler
    before = butler.version
    ref = butler.put({"n": 1}, "note", note_id())
    stored = local.files()
    version = butler.version
    butler.restore(before)  # history still refers to the file
    spoil(local, "datastore/young.txt", b"young")
    spoil(local, "datastore/u/old.txt", b"old")
    spoil(local, "registry/data/x/old.parquet", b"old")
    spoil(local, "registry/log/.tmp-1", b"old")
    for path in [*stored, "datastore/u/old.txt", "registry/data/x/old.parquet", "registry/log/.tmp-1"]:
        os.utime(Path(local.url) / path, (time.time() - 2 * DAY,) * 2)
    found = collect_garbage(butler.repository)
    assert [info.path for info in found.datasets] == ["datastore/u/old.txt"]
    assert [info.path for info in found.registry] == ["registry/data/x/old.parquet"]
    assert [os.path.basename(path) for path in found.temporary] == [".tmp-1"]
    assert (found.removed, found.bytes) == (0, 6)
    assert collect_garbage(butler.repository, delete=True).removed == 3
    assert local.files() == {*stored, "datastore/young.txt"}
    butler.restore(version)
    assert butler.get(ref) == {"n": 1}
    with local.open() as reader, pytest.raises(ReadOnlyButlerError):
        collect_garbage(reader.repository, delete=True)
    with pytest.raises(ButlerUserError, match="too short"):
        collect_garbage(butler.repository, timedelta(hours=1))


def test_after_a_vacuum_what_is_kept_opens_and_what_is_not_is_gone(butler: Butler, place: Place) -> None:
    first = butler.version
    ref = butler.put({"n": 1}, "note", note_id(101))
    butler.tag("dr1")
    tagged = butler.version - 1
    butler.put({"n": 2}, "note", note_id(102))
    forgotten = butler.version
    both = place.files()
    butler.restore("dr1")
    time.sleep(1.1 if place.remote else 0.05)  # the clock of the store
    plan = vacuum(butler.repository, timedelta(0), offline=True)
    assert not plan.done
    assert {info.path for info in plan.garbage.datasets} < both
    assert len(plan.garbage.datasets) == 1
    assert place.files() == both
    done = vacuum(butler.repository, timedelta(0), offline=True, delete=True)
    assert done.expiry.boundary == butler.version
    assert done.expiry.tagged == (tagged,)
    assert len(place.files()) == 1
    with place.open(as_of="dr1") as old:
        assert old.version == tagged
        assert old.get(ref) == {"n": 1}
    for version in (first, forgotten):
        with pytest.raises(SnapshotNotFoundError, match="no longer kept"):
            place.open(as_of=version)
    assert not look(place).findings
    butler.put({"n": 3}, "note", note_id(102))
    with place.open(collections="u/test") as again:
        assert again.get("note", note_id(102)) == {"n": 3}
        assert again.version == butler.version
