# SPDX-License-Identifier: BSD-3-Clause
"""``verify --repair``: says what it would do, and does it only when told to."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakebutler import Butler
from tests.cli.running import call, succeed


@pytest.fixture
def holed(repo: Path) -> Path:
    """A repository that lacks the last log entry but two."""
    with Butler.from_config(repo) as butler:
        version = butler.version
    (repo / f"registry/log/{version - 2:020d}.json").unlink()
    return repo


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_would_be_done_is_said_and_not_done(holed: Path) -> None:
    before = files(holed)
    assert call("verify", holed).code == 1
    result = call("verify", holed, "--repair")
    assert result.code == 1
    assert "move aside" in result.out
    assert "--yes does it" in result.err
    assert files(holed) == before


def test_it_is_done_when_told_to(holed: Path) -> None:
    before = files(holed)
    result = succeed("verify", holed, "--repair", "--yes", "--json")
    assert {row["what"] for row in result.json()} == {"move aside"}
    assert "done" in result.err
    succeed("verify", holed)
    kept = files(holed)
    assert set(before.values()) - {before["registry/views.sql"]} <= set(kept.values()), "something is gone"
    assert succeed("verify", holed, "--repair").err.strip() == "there is nothing to repair"
    with Butler.from_config(holed, run="u/new") as butler:
        butler.put({"text": "on"}, "note", instrument="Cam")


def test_what_only_a_copy_mends_is_said(repo: Path) -> None:
    for path in (repo / "registry/log").glob("*.json"):
        path.write_bytes(b"")
    result = call("verify", repo, "--repair", "--yes")
    assert result.code in (1, 4)
    assert "needs a copy" in result.out


def test_yes_goes_only_with_repair(repo: Path) -> None:
    assert call("verify", repo, "--yes").code == 2
