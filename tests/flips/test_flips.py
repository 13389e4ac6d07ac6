# SPDX-License-Identifier: BSD-3-Clause
"""One bit of every byte is flipped: it is noticed, or what is read is what was written.

A sample here; every byte, in several processes, with ``--full``.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler, ButlerError, FileIntegrityError, RepositoryError
from lakebutler.lake.lake import Lake
from lakebutler.lake.storage import open_storage
from tests.butler.world import CAM, note_id
from tests.hostile.editing import OTHER, RUN, make_good
from tests.lake.helpers import DATA_ID, NAME, add, bulk, commit, everything, fresh, row

Look = Callable[[Path], Any]
CASES = ("registry", "lake")


def make_registry(root: Path) -> Path:
    """Rows in entries and in files, deletes in both, a compaction, a checkpoint, entries after it, a tag."""
    from lakebutler.lake.tagging import add_tag

    lake = fresh(root)
    add(lake, [row(1), row(2)])
    commit(lake, lambda c: c.append_table(NAME, bulk([row(v) for v in range(10, 120)])))
    commit(lake, lambda c: c.delete(NAME, ("id",), [(row(v)[6],) for v in range(50, 56)]))
    lake.compact(everything=True)
    add_tag(lake, "dr1")
    lake.checkpoint()
    add(lake, [row(3)])
    commit(lake, lambda c: c.delete(NAME, ("id",), [(row(2)[6],)]))
    commit(lake, lambda c: c.set("collection", "run", {"type": "RUN"}))
    lake.close()
    return root


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_registry(tmp_path_factory.mktemp("registry") / "repo")


@pytest.fixture(scope="session")
def lake_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in one file."""
    return make_registry(tmp_path_factory.mktemp("registry") / "repo.lake")


def look(root: Path) -> Any:
    """Everything that can be seen of a registry, the past and the tag included."""
    lake = Lake.open(open_storage(root))
    try:
        snapshot = lake.snapshot()
        found = [snapshot.find(NAME, DATA_ID, row(v)[:5]) for v in (1, 3, 52, 100)]
        past = everything(lake.as_of("dr1"))
        state = {kind: dict(snapshot.state(kind)) for kind in ("collection", "config", "tag")}
        head = (lake.repo_id, snapshot.version, snapshot.sha256, snapshot.time)
        return head, everything(snapshot), found, past, state
    finally:
        lake.close()


def survey(path: Path, root: Path, places: Iterator[int] | range, looked: Look = look) -> Counter[str]:
    """Flip one bit in each of some bytes of a file; count what comes of it."""
    good, kept, counts = looked(root), path.read_bytes(), Counter[str]()
    for place in places:
        data = bytearray(kept)
        data[place] ^= 1 << (place % 8)
        path.write_bytes(data)
        try:
            counts["same" if looked(root) == good else f"WRONG {path.name} {place}"] += 1
        except RepositoryError as error:
            counts["noticed" if len(str(error).splitlines()) <= 3 else f"LONG {error}"] += 1
        except Exception as error:
            counts[f"FOREIGN {path.name} {place} {error!r}"] += 1
    path.write_bytes(kept)
    return counts


def wrong(counts: Counter[str]) -> list[str]:
    return [kind for kind in counts if kind not in ("same", "noticed")]


def registry_files(root: Path) -> list[Path]:
    return sorted(p for p in (root / "registry").rglob("*") if p.is_file() and p.stat().st_size)


def sample(size: int, seed: str, least: int = 12, one_in: int = 400) -> list[int]:
    """Some bytes of a file: ends, and a few between."""
    dice = random.Random(seed)
    some = {
        0,
        1,
        size - 1,
        size - 2,
        size // 2,
        *(dice.randrange(size) for _ in range(least + size // one_in)),
    }
    return sorted(place for place in some if 0 <= place < size)


def test_a_flipped_bit_in_the_registry_is_noticed_or_harmless(registry: Path, tmp_path: Path) -> None:
    shutil.copytree(registry, tmp_path / "repo")
    counts: Counter[str] = Counter()
    for path in registry_files(tmp_path / "repo"):
        counts += survey(path, tmp_path / "repo", iter(sample(path.stat().st_size, path.name)))
    assert not wrong(counts)
    assert counts["noticed"] > 100


def test_a_flipped_bit_in_a_lake_file_is_noticed_or_harmless(lake_file: Path, tmp_path: Path) -> None:
    made = Path(shutil.copy(lake_file, tmp_path))
    counts = survey(made, made, iter(sample(made.stat().st_size, "lake", 60)))
    assert not wrong(counts)
    assert counts["noticed"] > 10


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("case", CASES)
def test_every_byte_flipped_is_noticed_or_harmless(
    case: str, registry: Path, lake_file: Path, tmp_path: Path
) -> None:
    workers = os.cpu_count() or 1
    jobs = []
    for worker in range(workers):
        place = tmp_path / str(worker)
        place.mkdir()
        if case == "lake":
            made = Path(shutil.copy(lake_file, place))
            jobs.append(([made], made, worker, workers))
        else:
            shutil.copytree(registry, place / "repo")
            jobs.append((registry_files(place / "repo"), place / "repo", worker, workers))
    counts: Counter[str] = Counter()
    with ProcessPoolExecutor(workers) as pool:
        for found in pool.map(shard, jobs):
            counts += found
    print(f"\n{case}: {sum(counts.values())} flips, {dict(counts.most_common(5))}")
    assert not wrong(counts)


def shard(job: tuple[list[Path], Path, int, int]) -> Counter[str]:
    """Every n-th byte of some files."""
    files, root, first, step = job
    counts: Counter[str] = Counter()
    for path in files:
        counts += survey(path, root, range(first, path.stat().st_size, step))
    return counts


# ----------------------------------------------------------------------- planted faults


def plant_seal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seal of a file is believed without being checked."""
    from lakebutler.lake import checkpoint, entry
    from lakebutler.lake import format as format_file

    def unseal(data: bytes, where: str) -> str:
        return data[-67:-3].decode("ascii", "replace")

    for module in (checkpoint, entry, format_file):
        monkeypatch.setattr(module, "unseal", unseal)


def plant_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data file is handed out without being hashed."""
    from lakebutler.lake.storage.local import LocalStorage

    def fetch(self: LocalStorage, path: str, size: int, sha256: str) -> str:
        return f"{self.root}/{path}"

    monkeypatch.setattr(LocalStorage, "fetch", fetch)


def plant_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Datasets are read without being hashed."""
    from lakebutler.datastore.read import Verifier, check_size

    def check(self: Verifier, content: Any, record: Any, place: str, ref: Any) -> None:
        check_size(content, record, place, ref)

    monkeypatch.setattr(Verifier, "check", check)


@pytest.mark.parametrize(("plant", "folder"), [(plant_seal, "log"), (plant_fetch, "data")])
def test_the_harness_fails_on_a_planted_fault(
    plant: Callable[[pytest.MonkeyPatch], None],
    folder: str,
    registry: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(registry, tmp_path / "repo")
    plant(monkeypatch)
    counts: Counter[str] = Counter()
    for path in registry_files(tmp_path / "repo"):
        if folder in str(path.relative_to(tmp_path / "repo")):
            counts += survey(path, tmp_path / "repo", iter(sample(path.stat().st_size, "planted", 40)))
    assert wrong(counts)


# ---------------------------------------------------------------------------- datasets

DATASETS: dict[str, dict[str, Any]] = {
    "note": note_id(101, 0),
    "label": {"instrument": CAM},
    "array": {"instrument": CAM},
    "catalog": {"instrument": CAM, "visit": 101},
    "bias": {"instrument": CAM, "detector": 0},
}


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stored") / "repo"
    make_good(root)
    return root


@pytest.fixture
def datasets(stored: Path, tmp_path: Path) -> Path:
    shutil.copytree(stored, tmp_path / "repo")
    return tmp_path / "repo"


def damaged(data: bytes) -> Iterator[tuple[str, bytes]]:
    dice = random.Random(len(data))
    for place in {0, len(data) - 1, *(dice.randrange(len(data)) for _ in range(20))}:
        flipped = bytearray(data)
        flipped[place] ^= 1 << dice.randrange(8)
        yield f"flip {place}", bytes(flipped)
    yield "cut", data[:-1]
    yield "half", data[: len(data) // 2]
    yield "empty", b""
    yield "longer", data + b"\0"
    yield "doubled", data + data


def read_damaged(root: Path, name: str) -> list[str]:
    """Return how a dataset's file can be damaged without its being noticed."""
    unnoticed = []
    with Butler.from_config(root, collections=[RUN]) as butler:
        ref = butler.find_dataset(name, DATASETS[name])
        assert ref is not None
        path = Path(butler.getURI(ref).ospath)
        kept = path.read_bytes()
        butler.get(ref)
        for how, data in damaged(kept):
            path.write_bytes(data)
            for options in ({}, {"storageClass": "Bytes"}):
                try:
                    butler.get(ref, **options)
                    unnoticed.append(how)
                except FileIntegrityError as error:
                    if path.name not in str(error):
                        unnoticed.append(f"{how}, unnamed")
                except ButlerError:
                    unnoticed.append(how)  # noticed by chance only
        path.write_bytes(kept)
        butler.get(ref)
    return unnoticed


@pytest.mark.parametrize("name", DATASETS)
def test_every_damage_to_a_dataset_is_noticed_by_get(datasets: Path, name: str) -> None:
    assert read_damaged(datasets, name) == []


def test_two_files_that_changed_places_are_noticed(datasets: Path) -> None:
    with Butler.from_config(datasets, collections=[RUN, OTHER]) as butler:
        one, two = (Path(butler.getURI("note", note_id(e, 0)).ospath) for e in (101, 201))
        assert one.stat().st_size == two.stat().st_size
        first, second = one.read_bytes(), two.read_bytes()
        one.write_bytes(second)
        two.write_bytes(first)
        for exposure in (101, 201):
            with pytest.raises(FileIntegrityError):
                butler.get("note", note_id(exposure, 0))


def test_a_missing_dataset_is_named(datasets: Path) -> None:
    with Butler.from_config(datasets, collections=[RUN]) as butler:
        path = Path(butler.getURI("note", note_id(101, 0)).ospath)
        path.unlink()
        with pytest.raises(ButlerError, match=path.name):
            butler.get("note", note_id(101, 0))


def test_the_harness_of_datasets_fails_on_a_planted_fault(
    datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_datasets(monkeypatch)
    assert any("flip" in how for how in read_damaged(datasets, "array"))
