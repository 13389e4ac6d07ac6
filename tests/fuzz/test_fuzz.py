# SPDX-License-Identifier: BSD-3-Clause
"""Any bytes at all: each reader of foreign input answers, or refuses with an error of ours.

Targets: the configuration, the log entry, the where-expression, the path template, the index
of a lake file, and (in a process of its own, its reader being C++) the Parquet footer.  The
corpus in ``fixtures/fuzz`` is mutated; ``--full`` goes on for long.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakebutler import ButlerError
from lakebutler.config import parse_repo_config
from lakebutler.datastore.template import parse_template
from lakebutler.lake.container.reader import ContainerReader, check_members
from lakebutler.lake.container.source import LocalSource
from lakebutler.lake.entry import parse_action, parse_entry
from lakebutler.lake.naming import seal
from tests.conftest import ROOT
from tests.lake.helpers import DATASET, SMALL

CORPUS = ROOT / "fixtures/fuzz"
SECONDS = 10
TOKENS = [
    b"[", b"]", b"{", b"}", b"&a ", b"*a", b"!!python/name:os.system ", b"<<: ", b"- ", b": ", b"? ", b"'",
    b'"', b"\\", b"\0", b"\xff", b"\x80", b"\n", b"\t", b"-1", b"9" * 30, b"1e999", b"NaN", b"..", b"/",
    b"null", b"~", b"__class__", b"%", b"(", b")", b" AND ", b" NOT ", b" IN ", b"T'", b"..1", b":x",
    b"\xe2\x80\xae", b"#",
]  # fmt: skip


def seeds(kind: str) -> list[bytes]:
    """The corpus of a target."""
    return [path.read_bytes() for path in sorted((CORPUS / kind).iterdir())]


@st.composite
def mutated(draw: st.DrawFn, kind: str) -> bytes:
    """An input of the corpus, with parts taken out, doubled, flipped and put in."""
    data = draw(st.sampled_from(seeds(kind)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 40))
        match draw(st.sampled_from(("cut", "token", "bytes", "double", "flip", "end"))):
            case "cut":
                data = data[:place] + data[place + length :]
            case "token":
                some = draw(st.sampled_from(TOKENS)) * draw(st.sampled_from((1, 1, 2, 300)))
                data = data[:place] + some + data[place:]
            case "bytes":
                data = data[:place] + draw(st.binary(max_size=20)) + data[place + length :]
            case "double":
                data = data[:place] + data[place : place + length] * 2 + data[place + length :]
            case "flip":
                if place < len(data):
                    data = data[:place] + bytes([data[place] ^ 1 << length % 8]) + data[place + 1 :]
            case _:
                data = data[:place]
    return data


def answers(function: Callable[[], object]) -> None:
    """It answers or is refused in a few lines, soon."""
    started = time.process_time()
    try:
        function()
    except ButlerError as error:
        lines = str(error).splitlines()
    else:
        lines = []
    assert len(lines) <= 5
    assert all(len(line) <= 2000 for line in lines)
    assert time.process_time() - started < SECONDS


# ----------------------------------------------------------------------------- targets


def read_config(data: bytes) -> None:
    from lakebutler.datastore.datastore import Datastore

    Datastore("/nowhere", config=parse_repo_config(data, "butler.yaml").get("datastore"))


def read_entry(data: bytes) -> None:
    """As it lies in the log, and with a seal that holds."""
    answers(lambda: parse_entry(data, 1, "here"))
    text = data.decode("utf-8", "replace").strip()
    if text.endswith("}"):
        entry = parse_entry(seal(text), 1, "here")
        schemas = {schema.name: schema for schema in (DATASET, SMALL)}
        for action in entry.actions:
            try:
                parse_action(action, schemas)
            except (KeyError, TypeError, ValueError, AttributeError):
                continue  # as `LakeState.parse` takes it


def read_where(data: bytes) -> None:
    from lakebutler.query.parse import parse

    parse(data.decode("utf-8", "replace"))


def read_template(data: bytes) -> None:
    parse_template(data.decode("utf-8", "replace"))


def read_lake_file(data: bytes) -> None:
    place = Path(os.environ["FUZZ_FOLDER"]) / "x.lake"
    place.write_bytes(data)
    reader = ContainerReader(LocalSource(str(place)))
    try:
        for path, _ in reader.scan("", None):
            answers(lambda path=path: reader.read(path))
        check_members(reader)
    finally:
        reader.close()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "config": read_config,
    "entry": read_entry,
    "where": read_where,
    "template": read_template,
    "lake": read_lake_file,
}


@pytest.fixture(autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUZZ_FOLDER", str(tmp_path_factory.getbasetemp()))


def fuzz(kind: str, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, database=None)
    @given(data=st.one_of(mutated(kind), st.binary(max_size=300)))
    @example(data=b"")
    def go(data: bytes) -> None:
        answers(lambda: TARGETS[kind](data))

    go()
    for data in seeds(kind):
        answers(lambda data=data: TARGETS[kind](data))


@pytest.mark.parametrize("kind", TARGETS)
def test_any_input_is_answered_or_refused(kind: str) -> None:
    fuzz(kind, 60 if kind == "lake" else 200)


@pytest.mark.full
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", TARGETS)
def test_any_input_is_answered_or_refused_at_length(kind: str) -> None:
    fuzz(kind, int(os.environ.get("LAKEBUTLER_FUZZ", "20000")))


def test_the_corpus_is_read_without_refusal() -> None:
    """Else its mutants would be refused at the door."""
    for kind, read in TARGETS.items():
        good = 0
        for data in seeds(kind):
            try:
                read(data)
            except ButlerError:
                continue
            good += 1
        assert good >= 1, kind


# ---------------------------------------------------------------------- Parquet footers


def parquet_mutants(count: int, seed: int, data: bytes) -> list[bytes]:
    """Versions of a Parquet file, most of them with another footer."""
    dice, out = random.Random(seed), []
    footer = int.from_bytes(data[-8:-4], "little")
    for _ in range(count):
        made = bytearray(data)
        for _ in range(dice.choice((1, 1, 2, 8))):
            place = len(data) - 9 - dice.randrange(footer)
            if dice.random() < 0.2:
                place = dice.randrange(len(data))
            made[place] = dice.choice((made[place] ^ 1 << dice.randrange(8), 0xFF, 0x7F, 0))
        if dice.random() < 0.1:
            made[-8:-4] = dice.randbytes(4)
        out.append(bytes(made))
    return out


def run_parquet(folder: Path, count: int, seed: int, shard: int = 400) -> dict[str, int]:
    """Have a lake whose data file is each mutant looked into, in processes of their own."""
    total: dict[str, int] = {}
    for start in range(0, count, shard):
        work = folder / str(start)
        work.mkdir()
        arguments = [str(work), str(min(shard, count - start)), f"{seed}{start}"]
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.parquet_child", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"status {done.returncode}: {done.stderr[-1500:]}"
        for kind, n in json.loads(done.stdout).items():
            total[kind] = max(total.get(kind, 0), n) if kind == "memory" else total.get(kind, 0) + n
    return total


def judge_parquet(found: dict[str, int]) -> None:
    assert set(found) <= {"fine", "refused", "memory"}, found
    assert found["memory"] < 1 << 20, "KiB"


def test_any_parquet_footer_is_read_or_refused(tmp_path: Path) -> None:
    found = run_parquet(tmp_path, 80, 1)
    judge_parquet(found)
    assert found["refused"] > 20


@pytest.mark.full
@pytest.mark.timeout(7200)
def test_any_parquet_footer_is_read_or_refused_at_length(tmp_path: Path) -> None:
    found = run_parquet(tmp_path, 8000, 2)
    print(f"\nparquet: {found}")
    judge_parquet(found)


# ----------------------------------------------------------------------- planted faults


def plant_config() -> Any:
    from lakebutler import config

    return (config, "known_names", lambda *arguments: 1 // 0), "config", b"unknown: 1"


def plant_entry() -> Any:
    from lakebutler.lake import entry

    return (entry, "decode_time", lambda text: 1 // 0), "entry", None


def plant_template() -> Any:
    from lakebutler.datastore import template

    fault = (template, "_check_literal", lambda literal, text: text.encode("ascii"))
    return fault, "template", "é{id}".encode()


@pytest.mark.parametrize("plant", [plant_config, plant_entry, plant_template])
def test_the_harness_fails_on_a_planted_fault(
    plant: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (module, name, fault), kind, data = plant()
    monkeypatch.setattr(module, name, fault)
    inputs = [data] if data is not None else seeds(kind)
    with pytest.raises(BaseException) as caught:
        for one in inputs:
            answers(lambda one=one: TARGETS[kind](one))
    assert not isinstance(caught.value, ButlerError)
