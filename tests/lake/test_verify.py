# SPDX-License-Identifier: BSD-3-Clause
"""Each kind of damage is planted, and found by kind and name; what is whole is not complained of."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from lakebutler.errors import NotARepositoryError
from lakebutler.lake.naming import CHECKPOINT, DATA, LAST, log_path, seal
from lakebutler.lake.storage import open_storage
from lakebutler.lake.tagging import add_tag
from lakebutler.lake.verify import RegistryReport, verify_registry
from tests.lake.helpers import NAME, add, bulk, commit, fresh, row
from tests.lake.test_versions import scribble


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with data files, deletes in files, a compaction, two checkpoints and a tag."""
    root = tmp_path_factory.mktemp("whole") / "repo"
    lake = fresh(root)
    add(lake, [row(1), row(2)])
    commit(lake, lambda c: c.append_table(NAME, bulk([row(v) for v in range(10, 1100)])))
    commit(lake, lambda c: c.delete(NAME, ("id",), [(row(v)[6],) for v in range(20, 1050)]))
    add_tag(lake, "dr1")
    lake.checkpoint()
    add(lake, [row(3)])
    lake.compact(everything=True)
    lake.checkpoint()
    add(lake, [row(4)])
    lake.close()
    return root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    shutil.copytree(whole, tmp_path / "repo")
    return tmp_path / "repo"


def look(root: Path, **options: str) -> RegistryReport:
    return verify_registry(open_storage(root), **options)


def damage(root: Path) -> set[tuple[str, str]]:
    """Kind and object of what is damaged."""
    return {(f.kind, f.object) for f in look(root).findings if f.damage}


def flip(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def test_what_is_whole_has_no_findings(root: Path) -> None:
    report = look(root)
    assert not report.findings
    assert report.complete
    assert (report.first, report.head, report.entries, report.checkpoints) == (0, 7, 8, 2)
    assert report.files == len(list((root / DATA / NAME).iterdir()))
    assert not look(root, expect=report.sha256).findings
    assert [f.kind for f in look(root, expect="0" * 64).findings] == ["other history"]


@pytest.mark.parametrize("seed", range(3))
def test_a_busy_history_adds_up_to_its_checkpoints(tmp_path: Path, seed: int) -> None:
    from tests.lake.helpers import DATASET, SMALL

    lake = fresh(tmp_path, SMALL, DATASET)
    scribble(lake, seed, 36)
    report = look(tmp_path)
    assert not report.findings
    assert report.checkpoints >= 2


@pytest.mark.parametrize("version", [0, 3, 7])
def test_a_flipped_bit_in_an_entry_is_found(root: Path, version: int) -> None:
    for seed in range(5):
        path = root / log_path(version)
        before = path.read_bytes()
        flip(path, seed)
        assert ("damaged entry", log_path(version)) in damage(root)
        path.write_bytes(before)


def test_an_entry_cut_short_is_found(root: Path) -> None:
    path = root / log_path(6)
    path.write_bytes(path.read_bytes()[:-20])
    assert damage(root) == {("damaged entry", log_path(6))}


def test_a_missing_entry_is_found(root: Path) -> None:
    (root / log_path(2)).unlink()
    assert damage(root) == {("missing entry", log_path(2))}


def test_an_end_of_the_log_that_is_missing_is_found_by_its_checkpoint(root: Path) -> None:
    for version in (5, 6, 7):
        (root / log_path(version)).unlink()
    assert damage(root) == {("missing entry", log_path(5))}


def test_swapped_entries_are_found(root: Path) -> None:
    one, two = root / log_path(2), root / log_path(3)
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    found = {("damaged entry", log_path(2)), ("damaged entry", log_path(3)), ("lost tag", "dr1")}
    assert damage(root) == found


def test_an_entry_of_another_history_is_found(root: Path) -> None:
    path = root / log_path(2)
    body = json.loads(path.read_bytes())
    del body["sha256"]
    body["message"] = "forged"
    path.write_bytes(seal(json.dumps(body)))
    assert ("broken chain", log_path(3)) in damage(root)


@pytest.mark.parametrize("seed", range(5))
def test_a_flipped_bit_in_a_data_file_is_found(root: Path, seed: int) -> None:
    path = random.Random(seed).choice(sorted((root / DATA / NAME).iterdir()))
    flip(path, seed)
    assert damage(root) == {("damaged file", str(path.relative_to(root)))}


def test_data_files_that_are_missing_or_cut_are_found(root: Path) -> None:
    one, two, *_ = sorted((root / DATA / NAME).iterdir())
    one.unlink()
    two.write_bytes(two.read_bytes()[:-1])
    places = [str(path.relative_to(root)) for path in (one, two)]
    assert damage(root) == {("missing file", places[0]), ("damaged file", places[1])}


def test_a_checkpoint_that_is_damaged_or_not_what_the_log_says_is_found(root: Path) -> None:
    one, two = sorted((root / CHECKPOINT).glob("0*"))
    flip(one, 1)
    lines = two.read_text().splitlines()
    first = json.loads(lines[0])
    first["state"] = [value for value in first["state"] if value[0] != "tag"]
    body = [json.dumps(first, separators=(",", ":")), *lines[1:-1], '{"end":6}']
    two.write_bytes(seal("\n".join(body)))
    found = damage(root)
    assert ("damaged checkpoint", str(one.relative_to(root))) in found
    assert ("wrong checkpoint", str(two.relative_to(root))) in found


def test_behind_damage_the_search_goes_on_from_a_checkpoint(root: Path) -> None:
    flip(root / log_path(1), 3)
    report = look(root)
    assert not report.complete
    assert report.head == 7
    (root / log_path(6)).unlink()
    assert look(root).head == 7  # from the checkpoint of version 6


def test_leftovers_are_named_and_are_no_damage(root: Path) -> None:
    (root / DATA / NAME / "x.parquet").write_bytes(b"left")
    (root / DATA / "never").mkdir()
    (root / DATA / "never" / "y.parquet").write_bytes(b"left")
    (root / LAST).write_text(
        '{"version":1,"path":"registry/checkpoint/00000000000000000001-0123456789.json"}'
    )
    report = look(root)
    assert {(f.kind, f.object) for f in report.findings} == {
        ("orphan", f"{DATA}{NAME}/x.parquet"),
        ("orphan", f"{DATA}never/y.parquet"),
        ("stale hint", LAST),
    }
    assert not any(f.damage for f in report.findings)


def test_a_place_without_a_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotARepositoryError):
        look(tmp_path)
