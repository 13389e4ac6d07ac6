# SPDX-License-Identifier: BSD-3-Clause
"""``verify``, ``gc``, ``vacuum``, ``compact`` and ``checkpoint``."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.cli.running import call, succeed


def test_verify_says_what_is_damaged_and_ends_with_one(repo: Path) -> None:
    clean = succeed("-R", repo, "verify", "--json")
    assert clean.json() == []
    root = clean.err.split()[-1]
    assert call("-R", repo, "verify", "--expect", root).code == 0
    assert call("-R", repo, "verify", "--expect", "0" * 64).code == 1
    path = next(p for p in sorted((repo / "datastore").rglob("*")) if p.is_file())
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    found = call("-R", repo, "verify", "--json")
    assert found.code == 1
    assert [(f["kind"], f["object"]) for f in found.json()] == [("damaged file", str(path.relative_to(repo)))]
    assert call("-R", repo, "verify", "--no-files").code == 0
    entry = repo / "registry" / "log" / f"{1:020d}.json"
    entry.write_bytes(entry.read_bytes()[:-5])
    assert "damaged entry" in call("-R", repo, "verify").out


def test_gc_lists_and_then_removes(repo: Path) -> None:
    left = repo / "datastore" / "left.txt"
    left.write_text("left")
    assert succeed("-R", repo, "gc", "--json").json() == []
    os.utime(left, (1e9, 1e9))
    listed = succeed("-R", repo, "gc", "--json").json()
    assert [(f["kind"], f["path"], f["bytes"]) for f in listed] == [("dataset", "datastore/left.txt", 4)]
    assert left.exists()
    succeed("-R", repo, "gc", "--delete")
    assert not left.exists()
    assert call("-R", repo, "gc", "--window", "0.1").code == 2


def test_vacuum_says_what_goes_and_keeps_tags(repo: Path) -> None:
    succeed("-R", repo, "tag", "dr1", "2")
    assert "no version is older" in succeed("-R", repo, "vacuum").err
    time.sleep(0.05)  # the clock of a file system ticks slowly
    dry = succeed("-R", repo, "vacuum", "--window", "0", "--offline")
    assert "would go, tagged ones kept: 2" in dry.err
    done = succeed("-R", repo, "vacuum", "--window", "0", "--offline", "--delete")
    assert "gone" in done.err
    succeed("-R", repo, "query-collections", "--as-of", "dr1")
    assert call("-R", repo, "query-collections", "--as-of", "1").code == 2
    assert call("-R", repo, "verify").code == 0


def test_compact_and_checkpoint_change_no_answer(repo: Path) -> None:
    before = succeed("-R", repo, "query-datasets", "*", "--collections", "*").out
    assert "rewrote" in succeed("-R", repo, "compact").out
    assert "checkpoint of version" in succeed("-R", repo, "checkpoint").out
    assert succeed("-R", repo, "query-datasets", "*", "--collections", "*").out == before
    assert call("-R", repo, "verify").code == 0


def test_clone_copies_all_or_some(repo: Path) -> None:
    assert "10 datasets" in succeed("-R", repo, "clone", repo.parent / "whole").out
    assert call("-R", repo, "clone", repo.parent / "whole").code == 3
    some = repo.parent / "some"
    assert "1 dataset " in succeed("-R", repo, "clone", some, "-d", "note").out
    assert [r["name"] for r in succeed("-R", some, "query-dataset-types", "--json").json()] == ["note"]
    assert call("-R", some, "verify").code == 0
