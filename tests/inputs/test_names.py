# SPDX-License-Identifier: BSD-3-Clause
"""Forty names in each place where a name can stand: refused there and then, or given back exactly."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler, ButlerError, CollectionType, DatasetRef, DatasetType, FileDataset
from tests.butler.world import Place, check_message, fill

NAMES = [
    "", ".", "..", "../../escape", "/abs", "a//b", "a/", "a b", "a:b", "a*b", "a?b", 'a"b', "a'b", "a\\b",
    "a_b", "a\0b", "a\nb", "a\x1b[31mb", "\u202egnp", "e\u0301", "\xe9", "\ud800", "x" * 255, "x" * 300,
    "x" * 10_000, "$HOME", "${HOME}", "~", "~root", "{run}", "{0.__class__}", "%2e%2e", "-rf", "--help",
    "con", "NUL", "A_B", "SELECT", "robert'); DROP TABLE x;--", "null", "2025-01-01", "17", "日本語", "😀",
    "os.system", "!!python/x",
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = Place(str(tmp_path_factory.mktemp("names") / "repo"))
    place.make()
    with place.open(run="u/test") as butler:
        fill(butler)
    return Path(place.url)


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Place:
    shutil.copytree(made, tmp_path / "box" / "repo")
    return Place(str(tmp_path / "box" / "repo"))


def as_run(butler: Butler, name: str, folder: Path) -> Callable[[Butler], object]:
    butler.collections.register(name)
    butler.put({"n": name}, "setup", run=name)
    return lambda other: (other.get("setup", collections=name), other.collections.query(name))


def as_tagged(butler: Butler, name: str, folder: Path) -> Callable[[Butler], object]:
    butler.collections.register(name, CollectionType.TAGGED)
    butler.registry.associate(name, [butler.put({"n": name}, "setup", run="u/test")])
    return lambda other: (other.get("setup", collections=name), other.collections.query(name))


def as_dataset_type(butler: Butler, name: str, folder: Path) -> Callable[[Butler], object]:
    butler.registry.registerDatasetType(
        DatasetType(name, (), "StructuredDataDict", universe=butler.dimensions)
    )
    butler.put({"n": name}, name)
    return lambda other: (other.get(name, collections="u/test"), [other.registry.getDatasetType(name).name])


def as_instrument(butler: Butler, name: str, folder: Path) -> Callable[[Butler], object]:
    butler.registry.insertDimensionData("instrument", {"name": name})
    butler.registry.registerDatasetType(
        DatasetType("kept", ["instrument"], "StructuredDataDict", universe=butler.dimensions)
    )
    butler.put({"n": name}, "kept", instrument=name)
    where = {"where": "instrument = :n", "bind": {"n": name}}
    return lambda other: (
        other.get("kept", collections="u/test", instrument=name),
        [ref.dataId["instrument"] for ref in other.query_datasets("kept", "u/test", **where)],
    )


def as_tag(butler: Butler, name: str, folder: Path) -> Callable[[Butler], object]:
    butler.put({"n": name}, "setup")
    butler.tag(name)

    def look(other: Butler) -> object:
        with Butler.from_config(other.root, as_of=name, collections="u/test") as past:
            return past.get("setup"), [t.name for t in other.tags()]

    return look


def as_file(butler: Butler, name: str, folder: Path) -> Callable[[Butler], object]:
    path = folder / (name + ".json")
    path.write_text(json.dumps({"n": name}))
    ref = DatasetRef(butler.registry.getDatasetType("setup"), butler.registry.expandDataId({}), "u/test")
    butler.ingest(FileDataset(str(path), [ref]), transfer="copy")
    return lambda other: (other.get("setup", collections="u/test"), [name])


KINDS: dict[str, Callable[[Butler, str, Path], Callable[[Butler], Any]]] = {
    "run": as_run,
    "tagged collection": as_tagged,
    "dataset type": as_dataset_type,
    "instrument": as_instrument,
    "tag": as_tag,
}


def tried(kind: str, name: str, place: Place) -> str:
    """Use a name; return what became of it."""
    box = Path(place.url).parent
    before, outside = place.tree(), sorted(box.parent.iterdir())
    with place.open(run="u/test") as butler:
        try:
            look = KINDS[kind](butler, name, box)
        except ButlerError as error:
            refusal: ButlerError | None = error
        else:
            refusal = None
    if refusal is not None:
        check_message(refusal)
        assert not [c for c in str(refusal) if ord(c) < 32 and c != "\n"], repr(str(refusal))
        if kind in ("run", "tagged collection", "dataset type"):
            assert place.tree() == before
        return "refused"
    with place.open() as other:
        content, names = look(other)
    assert content == {"n": name}
    assert names == [name]
    assert sorted(box.iterdir()) == [box / "repo"]
    assert sorted(box.parent.iterdir()) == outside
    return "kept"


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_refused_when_it_is_given_or_kept_exactly(kind: str, made: Path, tmp_path: Path) -> None:
    ends: dict[str, str] = {}
    for number, name in enumerate(NAMES):
        box = tmp_path / str(number)
        shutil.copytree(made, box / "repo")
        ends[name] = tried(kind, name, Place(str(box / "repo")))
    assert len(ends) >= 40
    assert ends["../../escape"] == "refused" or kind == "instrument"
    assert ends["a_b"] == "kept"
    for name in ("a\0b", "a\nb", "\ud800", "a\x1b[31mb", "x" * 10_000):
        assert ends[name] == "refused", name


@pytest.mark.parametrize(
    "name", [n for n in NAMES if n and not {"/", "\0", "\ud800"} & set(n) and len(n) < 240]
)
def test_a_file_of_any_name_is_ingested(name: str, place: Place, tmp_path: Path) -> None:
    with place.open(run="u/test") as butler:
        look = as_file(butler, name, tmp_path)
    with place.open() as other:
        content, _ = look(other)  # type: ignore[misc]
        assert content == {"n": name}
    [path] = place.files()
    assert path.startswith("datastore/u/test/setup/")


def pairs(count: int, seed: int) -> int:
    """Draw pairs of identities that differ; return how many are on one path, also where case is ignored."""
    import uuid

    from lakebutler.datastore.template import default_path
    from lakebutler.dimensions.coordinate import DataCoordinate
    from lakebutler.dimensions.universe import DimensionUniverse

    dice, universe = random.Random(seed), DimensionUniverse()
    group = universe.conform(["instrument", "physical_filter"])
    some = [name for name in NAMES if name and "\0" not in name and name != "\ud800"]
    seen: dict[str, tuple[Any, ...]] = {}
    clashes = 0
    for _ in range(count):
        words = [dice.choice(some) + dice.choice(("", "x", "_", "~", "A")) for _ in range(4)]
        run, kind, instrument, band = words
        number = uuid.UUID(int=dice.getrandbits(128), version=4)
        data_id = DataCoordinate.from_required_values(group, (instrument, band))
        path = default_path(run, kind, data_id, number, ".json").casefold()
        identity = (run, kind, instrument, band, number)
        clashes += seen.setdefault(path, identity) != identity
        assert len(path.encode()) <= 1024
        assert max(len(part.encode()) for part in path.split("/")) <= 255
    return clashes


def test_no_two_datasets_are_on_one_path() -> None:
    assert pairs(5_000, 1) == 0


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_no_two_of_a_million_datasets_are_on_one_path() -> None:
    assert pairs(1_000_000, 2) == 0


def test_the_harness_fails_on_names_that_are_flattened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the field's way of writing odd characters as ``_``, and no id in the name."""
    import re

    from lakebutler.datastore import template

    def flat(directory: str, body: str, id: object, extension: str, run: str) -> str:
        return re.sub(r"[^A-Za-z0-9/]", "_", f"datastore/{directory[:400]}{body[:80]}{extension}")

    monkeypatch.setattr(template, "_finish", flat)
    monkeypatch.setattr(template, "MAX_PATH", 10**6)
    with pytest.raises(AssertionError):
        assert pairs(5_000, 1) == 0


PLANTS = {
    "run": ("lakebutler.registry.collections.check_collection_name", lambda name: name, "a\x1b[31mb"),
    "tag": ("lakebutler.lake.tagging.check_tag_name", lambda name: name, "a\x1b[31mb"),
}


@pytest.mark.parametrize("kind", PLANTS)
def test_the_harness_fails_where_names_are_not_looked_at(
    kind: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, fault, name = PLANTS[kind]
    monkeypatch.setattr(where, fault)
    assert tried(kind, name, place) == "kept", "the table above wants it refused"
