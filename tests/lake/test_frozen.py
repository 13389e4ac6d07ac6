# SPDX-License-Identifier: BSD-3-Clause
"""Repositories of the past open, and answer what they did when they were made."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lakebutler import Butler
from lakebutler.butler.maintenance.verify import verify
from tests.conftest import ROOT

FROZEN = ROOT / "formats/frozen"
VERSIONS = sorted(path.name for path in FROZEN.iterdir() if path.is_dir())
SHAPES = ("repo", "repo.lake")


def tool() -> ModuleType:
    """The script that made them."""
    path = list(sys.path)
    spec = importlib.util.spec_from_file_location("make_frozen", ROOT / "tools/make_frozen.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path[:] = path
    return module


def tree(root: Path) -> dict[str, str]:
    files = [root] if root.is_file() else [path for path in root.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(params=SHAPES)
def frozen(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the frozen repository, as a directory or in one file."""
    place = FROZEN / "v1"
    target = tmp_path / str(request.param)
    if request.param == "repo":
        shutil.copytree(place / "repo", target)
    else:
        target.write_bytes(gzip.decompress((place / "repo.lake.gz").read_bytes()))
    return target


def test_there_is_one_for_each_version_of_the_format() -> None:
    from lakebutler.lake.format import FORMAT_VERSION

    assert [f"v{number}" for number in range(1, FORMAT_VERSION + 1)] == VERSIONS
    for version in VERSIONS:
        assert sum(p.stat().st_size for p in (FROZEN / version).rglob("*") if p.is_file()) <= 200_000


def test_it_answers_what_it_did(frozen: Path) -> None:
    stored: dict[str, Any] = json.loads((FROZEN / "v1/answers.json").read_text())
    before = tree(frozen)
    packed = frozen.suffix == ".lake"  # it has the files of its newest version only
    if packed:
        del stored["past"]
    made = json.loads(json.dumps(tool().answers(frozen, past=not packed)))
    assert made.keys() == stored.keys()
    for name, answer in stored.items():
        assert made[name] == answer, name
    assert tree(frozen) == before, "reading changed something"


def test_it_is_whole(frozen: Path) -> None:
    report = verify(frozen)
    assert not report.findings
    assert report.datasets is not None
    assert report.datasets.files == 10


def test_it_can_be_gone_on_with(frozen: Path) -> None:
    with Butler.from_config(frozen, run="u/new") as butler:
        butler.put({"level": 99}, "bias", instrument="Cam", detector=5)
        butler.restore("night-1", allow_missing=True)
    with Butler.from_config(frozen) as butler:
        assert len(butler.query_datasets("bias", "u/one", explain=False)) == 6
    assert not verify(frozen).damaged
