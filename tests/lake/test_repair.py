# SPDX-License-Identifier: BSD-3-Clause
"""Mending a registry: only back to what was committed, nothing removed, and said beforehand."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lakebutler.errors import RepositoryCorruptError, StorageError
from lakebutler.lake.naming import CHECKPOINT, DATA, LAST, log_path
from lakebutler.lake.repair import ASIDE, plan_repair, repair_registry
from lakebutler.lake.storage import open_storage
from lakebutler.lake.verify import verify_registry
from tests.lake.helpers import NAME, add, bulk, commit, everything, fresh, reopened, row

CHECKPOINT_AT = 3
HEAD = 6
Rows = list[tuple[object, ...]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Rows]]:
    """A repository with a checkpoint in the middle of its log, and what each version holds."""
    root = tmp_path_factory.mktemp("whole") / "repo"
    lake = fresh(root)
    add(lake, [row(1), row(2)])
    commit(lake, lambda c: c.append_table(NAME, bulk([row(v) for v in range(10, 1100)])))
    add(lake, [row(3)])
    lake.checkpoint()
    for visit in (4, 5, 6):
        add(lake, [row(visit)])
    states = [everything(lake.as_of(version)) for version in range(HEAD + 1)]
    lake.close()
    return root, states


@pytest.fixture
def root(whole: tuple[Path, list[Rows]], tmp_path: Path) -> Path:
    shutil.copytree(whole[0], tmp_path / "repo")
    return tmp_path / "repo"


def names(root: Path) -> dict[str, bytes]:
    """All files but the script of views, moved ones by their old names."""
    found = {}
    for path in root.rglob("*"):
        if path.is_file() and path.name not in ("views.sql", ".lock"):
            name = str(path.relative_to(root))
            if name.startswith(ASIDE):
                name = "registry/" + name.removeprefix(ASIDE).partition("/")[2]
            found[name] = path.read_bytes()
    return found


def checkpoint_of(root: Path) -> Path:
    (path,) = (root / CHECKPOINT).glob("*.json")
    return path


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[random.Random(7).randrange(len(data))] ^= 4
    path.write_bytes(data)


def swap(one: Path, two: Path) -> None:
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def twin(root: Path) -> None:
    """Two entries that claim the same parent: one of another history at 5, made after the same 4."""
    other = root.parent / "other"
    shutil.copytree(root, other)
    for version in (5, 6):
        (other / log_path(version)).unlink()
    add(reopened(other), [row(77)])
    shutil.copy(other / log_path(5), root / log_path(5))


DAMAGE: dict[str, tuple[Callable[[Path], object], int]] = {
    "entry removed": (lambda root: (root / log_path(5)).unlink(), 4),
    "entry flipped": (lambda root: flip(root / log_path(5)), 4),
    "entry cut": (lambda root: (root / log_path(6)).write_bytes((root / log_path(6)).read_bytes()[:90]), 5),
    "entry empty": (lambda root: (root / log_path(4)).write_bytes(b""), 3),
    "entries swapped": (lambda root: swap(root / log_path(4), root / log_path(6)), 3),
    "entries reordered": (
        lambda root: [
            swap(root / log_path(4), root / log_path(5)),
            swap(root / log_path(5), root / log_path(6)),
        ],
        3,
    ),
    "two of one parent": (twin, 5),
    "checkpoint flipped": (lambda root: flip(checkpoint_of(root)), HEAD),
    "checkpoint cut": (lambda root: checkpoint_of(root).write_bytes(b"{"), HEAD),
    "hint flipped": (lambda root: (root / LAST).write_bytes(b'{"version": 999}'), HEAD),
    "hint removed": (lambda root: (root / LAST).unlink(), HEAD),
    "hint of nothing": (
        lambda root: (root / LAST).write_text(
            f'{{"version":2,"path":"{CHECKPOINT}{2:020d}-{"0" * 32}.json"}}'
        ),
        HEAD,
    ),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damage_is_mended_back_to_a_version_that_was_committed(
    how: str, root: Path, whole: tuple[Path, list[Rows]]
) -> None:
    spoil, head = DAMAGE[how]
    spoil(root)
    before = names(root)
    storage = open_storage(root)
    plan = plan_repair(storage)
    assert names(root) == before, "looking changed something"
    assert plan.head == head
    assert plan.steps
    assert plan.beyond == ()
    assert repair_registry(storage, plan) == plan
    after = names(root)
    assert {name: after.get(name) for name in before if name != LAST} == {
        name: data for name, data in before.items() if name != LAST
    }, "something is gone"
    assert not [f for f in verify_registry(open_storage(root)).findings if f.damage]
    assert not plan_repair(open_storage(root)).steps
    lake = reopened(root)
    assert lake.snapshot().version == head
    if how != "two of one parent":
        assert everything(lake.snapshot()) == whole[1][head]
        assert [everything(lake.as_of(v)) for v in range(head + 1)] == whole[1][: head + 1]
    assert add(lake, [row(99)]).version == head + 1
    assert everything(reopened(root).snapshot()) == everything(lake.snapshot())


def test_what_is_whole_needs_no_step(root: Path) -> None:
    plan = plan_repair(open_storage(root))
    assert (plan.steps, plan.beyond, plan.head, plan.lost) == ((), (), HEAD, 0)


def test_the_damage_that_only_a_copy_mends_is_named_and_left(root: Path) -> None:
    file = max((root / DATA / NAME).iterdir(), key=lambda path: path.stat().st_size)
    flip(file)
    (root / LAST).unlink()
    plan = plan_repair(open_storage(root))
    assert [(f.kind, f.object) for f in plan.beyond] == [("damaged file", str(file.relative_to(root)))]
    kept = file.read_bytes()
    repair_registry(open_storage(root), plan)
    assert file.read_bytes() == kept
    assert (root / LAST).exists()


def test_a_hole_below_a_checkpoint_costs_no_version(root: Path, whole: tuple[Path, list[Rows]]) -> None:
    (root / log_path(2)).unlink()
    plan = plan_repair(open_storage(root))
    assert plan.head == HEAD
    assert plan.steps == ()
    assert [f.object for f in plan.beyond] == [log_path(2)]
    assert everything(reopened(root).snapshot()) == whole[1][HEAD]


def test_nothing_is_done_if_it_is_no_longer_what_was_agreed_to(root: Path) -> None:
    (root / log_path(5)).unlink()
    plan = plan_repair(open_storage(root))
    (root / log_path(4)).unlink()
    before = names(root)
    with pytest.raises(RepositoryCorruptError, match="has changed"):
        repair_registry(open_storage(root), plan)
    assert names(root) == before


def test_without_any_whole_version_nothing_is_done(root: Path) -> None:
    (root / log_path(0)).unlink()
    checkpoint_of(root).unlink()
    before = names(root)
    plan = plan_repair(open_storage(root))
    assert plan.head == -1
    with pytest.raises(RepositoryCorruptError, match="no version"):
        repair_registry(open_storage(root))
    assert names(root) == before


@pytest.mark.parametrize("stop", range(1, 4))
def test_a_repair_that_is_broken_off_can_be_done_again(
    root: Path, whole: tuple[Path, list[Rows]], stop: int
) -> None:
    (root / log_path(4)).unlink()
    storage, left = open_storage(root), [stop]

    def delete(paths: list[str]) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        type(storage).delete(storage, paths)

    storage.delete = delete  # type: ignore[method-assign]
    try:
        repair_registry(storage)
    except KeyboardInterrupt:
        repair_registry(open_storage(root))
    assert everything(reopened(root).snapshot()) == whole[1][3]
    assert add(reopened(root), [row(9)]).version == 4


# --------------------------------------------------------------------------- one file


@pytest.fixture
def lake_file(tmp_path: Path) -> Path:
    place = tmp_path / "repo.lake"
    lake = fresh(place)
    for visit in range(1, 8):
        add(lake, [row(visit)])
    lake.checkpoint()
    add(lake, [row(8)])
    lake.close()
    return place


@pytest.mark.parametrize("slots", [(0,), (1,), (0, 1)])
def test_a_damaged_head_page_is_written_anew(lake_file: Path, slots: tuple[int, ...]) -> None:
    from lakebutler.lake.container.layout import SLOTS

    good = everything(reopened(lake_file).snapshot())
    data = bytearray(lake_file.read_bytes())
    for slot in slots:
        data[SLOTS[slot] + 30] ^= 1
    lake_file.write_bytes(data)
    assert everything(reopened(lake_file).snapshot()) == good
    add(reopened(lake_file), [row(9)])
    assert not [f for f in verify_registry(open_storage(lake_file)).findings if f.damage]
    assert everything(reopened(lake_file).snapshot()) == sorted([*good, row(9)], key=repr)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_lake_file_that_was_cut_is_read_and_not_written(lake_file: Path, part: float) -> None:
    rows = everything(reopened(lake_file).snapshot())
    data = lake_file.read_bytes()
    lake_file.write_bytes(data[: int(36864 + (len(data) - 36864) * part)])
    lake = reopened(lake_file)
    assert {repr(r) for r in everything(lake.snapshot())} < {repr(r) for r in rows}
    with pytest.raises(StorageError, match="cut short"):
        add(lake, [row(9)])
