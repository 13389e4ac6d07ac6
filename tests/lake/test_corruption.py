# SPDX-License-Identifier: BSD-3-Clause
"""Damage is named in one line, and never answered with wrong rows."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakebutler.errors import RepositoryCorruptError, RepositoryError, RepositoryFormatError
from lakebutler.lake.naming import FORMAT, log_path, seal
from tests.lake.helpers import (
    DATA_ID,
    NAME,
    add,
    bulk,
    commit,
    everything,
    fresh,
    reopened,
    row,
)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with files, deletes in files, a checkpoint and entries after it."""
    root = tmp_path_factory.mktemp("pristine") / "repo"
    lake = fresh(root)
    add(lake, [row(1), row(2)])
    commit(lake, lambda c: c.append_table(NAME, bulk([row(v) for v in range(10, 1100)])))
    commit(lake, lambda c: c.delete(NAME, ("id",), [(row(v)[6],) for v in range(50, 60)]))
    lake.checkpoint()
    add(lake, [row(3)])
    commit(lake, lambda c: c.set("collection", "run", {"type": "RUN"}))
    lake.close()
    return root


@pytest.fixture
def broken(pristine: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    shutil.copytree(pristine, tmp_path / "repo")
    return tmp_path / "repo"


def look(root: Path) -> tuple[Any, ...]:
    """Return everything that can be seen."""
    lake = reopened(root)
    snapshot = lake.snapshot()
    found = [snapshot.find(NAME, DATA_ID, row(v)[:5]) for v in (1, 3, 55, 500, 1099)]
    ids = [snapshot.find(NAME, ("id",), (row(v)[6],)) for v in (1, 3, 55, 500)]
    return snapshot.version, everything(snapshot), found, ids, dict(snapshot.state("collection"))


def registry_files(root: Path) -> list[Path]:
    return sorted(
        p for p in (root / "registry").rglob("*") if p.is_file() and p.suffix in (".json", ".parquet")
    )


def refused(root: Path) -> RepositoryError:
    with pytest.raises(RepositoryError) as caught:
        look(root)
    assert len(str(caught.value).splitlines()) <= 2
    return caught.value


def spoil(path: Path, how: str, dice: random.Random) -> None:
    data = bytearray(path.read_bytes())
    match how:
        case "flip":
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        case "cut":
            del data[dice.randrange(len(data)) :]
        case "grow":
            data += b"x"
        case "zero":
            place = dice.randrange(len(data))
            data[place : place + 512] = bytes(len(data[place : place + 512]))
            data[place] = data[place] ^ 1
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["flip", "cut", "grow", "zero"])
def test_damage_to_any_file_is_found_or_changes_nothing(broken: Path, pristine: Path, how: str) -> None:
    good = look(pristine)
    dice = random.Random(how)
    found = 0
    for path in registry_files(broken):
        kept = path.read_bytes()
        for _ in range(6):
            spoil(path, how, dice)
            if path.read_bytes() != kept:
                try:
                    assert look(broken) == good, path
                except RepositoryError as error:
                    found += len(str(error).splitlines()) <= 2
            path.write_bytes(kept)
    assert found > 20


@pytest.mark.full
def test_every_single_bit_flip_of_the_log_is_found(broken: Path, pristine: Path) -> None:
    good = look(pristine)
    for path in [*sorted((broken / "registry/log").iterdir())[-2:], broken / FORMAT]:
        kept = path.read_bytes()
        for place in range(len(kept)):
            for bit in (0, 3, 7):
                data = bytearray(kept)
                data[place] ^= 1 << bit
                path.write_bytes(data)
                try:
                    assert look(broken) == good
                except RepositoryError:
                    continue
                pytest.fail(f"bit {bit} of byte {place} of {path.name} was not noticed")
        path.write_bytes(kept)


def test_a_file_that_is_missing_is_named(broken: Path) -> None:
    for path in sorted((broken / "registry/data" / NAME).iterdir()):
        kept = path.read_bytes()
        if len(kept) > 10_000:  # the other is that of no rows, which nobody opens
            path.unlink()
            assert path.name in str(refused(broken))
            path.write_bytes(kept)
            return
    pytest.fail("there was no file with rows")


def test_what_does_not_need_a_missing_file_is_still_read(broken: Path) -> None:
    for path in (broken / "registry/data" / NAME).iterdir():
        path.unlink()
    snapshot = reopened(broken).snapshot()
    assert snapshot.version == 5
    assert snapshot.state("collection")["run"] == {"type": "RUN"}
    assert reopened(broken).as_of(1).find(NAME, DATA_ID, row(1)[:5]) == [row(1)]


@pytest.mark.parametrize("version", [4, 5])
def test_a_hole_in_the_log_is_named(broken: Path, version: int) -> None:
    """The last entry that is missing leaves an older version, which no reader can tell."""
    (broken / log_path(version)).unlink()
    if version == 5:
        assert reopened(broken).snapshot().version == 4
        return
    error = refused(broken)
    assert isinstance(error, RepositoryCorruptError)
    assert "hole" in str(error)
    assert log_path(4) in str(error)


def test_holes_below_the_checkpoint_do_not_hinder_the_present(broken: Path, pristine: Path) -> None:
    (broken / log_path(2)).unlink()
    assert look(broken) == look(pristine)
    with pytest.raises(RepositoryCorruptError, match="hole"):
        reopened(broken).as_of(2)


@pytest.mark.parametrize("damage", ["gone", "empty", "garbage"])
@pytest.mark.parametrize("also_hint", [False, True])
def test_a_checkpoint_is_never_needed(broken: Path, pristine: Path, damage: str, also_hint: bool) -> None:
    (checkpoint,) = (broken / "registry/checkpoint").glob("*.json")
    hint = broken / "registry/checkpoint/_last"
    for path in [checkpoint, hint] if also_hint else [checkpoint]:
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(b"" if damage == "empty" else b'{"version":4,"path":"../../etc/passwd"}')
    assert look(broken) == look(pristine)


def test_swapped_entries_are_found(broken: Path) -> None:
    one, two = broken / log_path(4), broken / log_path(5)
    kept = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(kept)
    assert log_path(4) in str(refused(broken))


def test_an_entry_of_another_repository_is_found(broken: Path, tmp_path: Path) -> None:
    other = fresh(tmp_path / "other")
    for version in range(5):
        add(other, [row(version)])
    shutil.copy(tmp_path / "other" / log_path(5), broken / log_path(5))
    assert "another history" in str(refused(broken))


def resealed(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    raw = json.loads(path.read_text())
    del raw["sha256"]
    edit(raw)
    path.write_bytes(seal(json.dumps(raw)))


@pytest.mark.parametrize(
    ("edit", "error", "needle"),
    [
        (lambda raw: raw.update(format=2), RepositoryFormatError, "format 2"),
        (lambda raw: raw["actions"].append({"teleport": {}}), RepositoryFormatError, "teleport"),
        (
            lambda raw: raw["actions"].append({"rows": {"table": "nope", "rows": []}}),
            RepositoryCorruptError,
            "nope",
        ),
        (
            lambda raw: raw["actions"].append({"rows": {"table": NAME, "rows": [[1]]}}),
            RepositoryCorruptError,
            "row",
        ),
        (lambda raw: raw["actions"].append({"rows": {}, "set": {}}), RepositoryCorruptError, "one kind"),
        (lambda raw: raw.update(version=9), RepositoryCorruptError, "version 9"),
        (lambda raw: raw.pop("txid"), RepositoryCorruptError, "txid"),
        (lambda raw: raw.update(time="yesterday"), RepositoryCorruptError, "yesterday"),
        (lambda raw: raw.update(actions=[[]]), RepositoryCorruptError, "makes no sense|says that"),
        (lambda raw: raw.update(actions=3), RepositoryCorruptError, "makes no sense"),
        (
            lambda raw: raw["actions"].append(
                {"add": {"table": NAME, "path": "../../x.parquet", "rows": 1, "bytes": 1, "sha256": "0" * 64}}
            ),
            RepositoryCorruptError,
            "no name of a data file",
        ),
        (
            lambda raw: raw["actions"].append(
                {
                    "add": {
                        "table": NAME,
                        "path": "registry/data/x/../../y.parquet",
                        "rows": 1,
                        "bytes": 1,
                        "sha256": "",
                    }
                }
            ),
            RepositoryCorruptError,
            "no name of a data file",
        ),
        (
            lambda raw: raw["actions"].append(
                {"remove": {"table": NAME, "path": "registry/data/t/x.parquet"}}
            ),
            RepositoryCorruptError,
            "not part of",
        ),
        (
            lambda raw: raw["actions"].append(
                {"create_table": {"name": 'x"; DROP', "columns": [], "sort": [], "scope": [], "id": None}}
            ),
            RepositoryCorruptError,
            "name of a table",
        ),
    ],
)
def test_an_entry_that_makes_no_sense_is_named(
    broken: Path, edit: Callable[[dict[str, Any]], None], error: type[Exception], needle: str
) -> None:
    resealed(broken / log_path(5), edit)
    with pytest.raises(error, match=needle) as caught:
        reopened(broken)
    assert log_path(5) in str(caught.value) or isinstance(caught.value, RepositoryFormatError)


def test_a_deep_entry_is_refused_and_does_not_crash(broken: Path) -> None:
    text = '{"a":' * 100_000 + "1" + "}" * 100_000
    (broken / log_path(5)).write_bytes(seal(text))
    assert log_path(5) in str(refused(broken))


def test_a_damaged_entry_is_not_built_upon(broken: Path) -> None:
    lake = reopened(broken)
    other = reopened(broken)
    add(other, [row(9000)])
    data = bytearray((broken / log_path(6)).read_bytes())
    data[100] ^= 1
    (broken / log_path(6)).write_bytes(data)
    with pytest.raises(RepositoryCorruptError, match="checksum"):
        add(lake, [row(9001)])
    assert not (broken / log_path(7)).exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff\xfe", b'{"format":"lakebutler"}'])
def test_a_format_file_that_makes_no_sense_is_named(broken: Path, content: bytes) -> None:
    (broken / FORMAT).write_bytes(content)
    assert FORMAT in str(refused(broken))
