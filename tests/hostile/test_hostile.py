# SPDX-License-Identifier: BSD-3-Clause
"""A repository of which a stranger chose every byte: nothing of it runs, nothing outside is touched."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.hostile import attacks_files  # noqa: F401 - adds to the attacks
from tests.hostile.attacks import ATTACKS, Site
from tests.hostile.editing import make_good

pytestmark = pytest.mark.timeout(1200)
Result = dict[str, Any]
ALWAYS = (
    "config-python", "formatter-1", "lake-member-l", "link-", "path-a", "path-f", "path-up", "pickle-",
    "pipe-", "uri-", "views-",
)  # fmt: skip
"""Beginnings of the names of attacks that are never left out; of the others every eighth is tried."""
PLANTED = {
    "formatter_by_import": ["formatter-0"],
    "links_are_followed": ["link-for-a-file", "link-for-a-run"],
    "paths_are_believed": ["path-up"],
    "views_are_run": ["views-that-copy"],
    "everything_is_trusted": ["pickle-type"],
}


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("good") / "repo"
    make_good(root)
    return root


class Court:
    """Makes repositories and hands them to a victim."""

    def __init__(self, good: Path, place: Path) -> None:
        self.good, self.place = good, place
        self.listener = socket.create_server(("127.0.0.1", 0))

    def job(self, name: str, plant: str = "", *, slow: bool = False) -> dict[str, Any]:
        box = self.place / (f"{plant}-{name}" if plant else name or "good")
        root, secret, work = (box / part for part in ("repo", "secret", "work"))
        shutil.copytree(self.good, root)
        for folder in (secret, work):
            folder.mkdir(parents=True)
        (secret / "secret.json").write_text('{"secret": "canary-7319"}')
        (secret / "lock").touch()
        site = Site(root, secret, self.listener.getsockname()[1])
        if name:
            ATTACKS[name](site)
        (root / "evilmod.py").write_text(f"open({str(site.marker)!r}, 'w')\ndef Formatter(): pass\n")
        places = {"root": root, "secret": secret, "work": work, "target": site.target}
        return {
            "name": name,
            "plant": plant,
            "slow": slow,
            **{key: str(value) for key, value in places.items()},
        }

    def hear(self, jobs: list[dict[str, str]]) -> dict[str, Result]:
        user = self.place / "user"
        user.mkdir(exist_ok=True)
        papers = self.place / "jobs.json"
        jobs = [{**job, "user": str(user)} for job in jobs]
        papers.write_text(json.dumps({"listener": self.listener.fileno(), "jobs": jobs}))
        environment = {
            **os.environ,
            "LAKEBUTLER_CONFIG_DIR": str(user / "config"),
            "XDG_CACHE_HOME": str(user / "cache"),
            "TMPDIR": str(user),
            "PYTHONPATH": str(ROOT),
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.hostile.victim", str(papers)],
            cwd=ROOT,
            env=environment,
            pass_fds=[self.listener.fileno()],
            capture_output=True,
            text=True,
            timeout=7000,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        return {result["name"]: result for result in map(json.loads, lines)}


@pytest.fixture(scope="session")
def court(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Court]:
    made = Court(good, tmp_path_factory.mktemp("court"))
    yield made
    made.listener.close()


def chosen() -> list[str]:
    others = [name for name in sorted(ATTACKS) if not name.startswith(ALWAYS)]
    return sorted({*others[::8], *(name for name in ATTACKS if name.startswith(ALWAYS))})


@pytest.fixture(scope="session")
def results(court: Court, request: pytest.FixtureRequest) -> dict[str, Result]:
    full = bool(request.config.getoption("--full"))
    names = sorted(ATTACKS) if full else chosen()
    return court.hear([court.job(name, slow=full or not name) for name in ("", *names)])


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(ATTACKS) >= 300
    assert len(chosen()) >= 60


def test_with_a_good_repository_everything_works(results: dict[str, Result]) -> None:
    assert results[""]["problems"] == []
    ends = results[""]["ends"]
    refused = {name: end for name, end in ends.items() if end != "fine"}
    assert refused == {"unpack": "NotARepositoryError", "remove collection": "OrphanedRecordError"}
    assert len(ends) > 60


@pytest.mark.parametrize("name", chosen())
def test_nothing_of_a_strangers_repository_runs_or_leads_outside(
    results: dict[str, Result], name: str
) -> None:
    assert results[name]["problems"] == []


@pytest.mark.full
@pytest.mark.timeout(7200)
def test_nothing_of_any_strangers_repository_runs_or_leads_outside(results: dict[str, Result]) -> None:
    print(f"\n{len(results)} repositories, {sum(len(r['ends']) for r in results.values())} deeds")
    assert {name: result["problems"] for name, result in results.items() if result["problems"]} == {}


@pytest.mark.parametrize("plant", sorted(PLANTED))
def test_the_harness_fails_on_a_planted_fault(court: Court, plant: str) -> None:
    found = court.hear([court.job(name, plant) for name in PLANTED[plant]])
    assert any(result["problems"] for result in found.values())
