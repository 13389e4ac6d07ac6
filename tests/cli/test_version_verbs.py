# SPDX-License-Identifier: BSD-3-Clause
"""``tag``, ``diff``, ``restore`` and the tags in ``log``."""

from __future__ import annotations

from pathlib import Path

from tests.cli.running import call, succeed


def test_a_mistake_is_undone_with_four_verbs(repo: Path) -> None:
    before = succeed("-R", repo, "query-collections").out
    assert "dr1 = version" in succeed("-R", repo, "tag", "dr1", "-m", "good").out
    succeed("-R", repo, "collection-chain", "wrong", "u/one")
    changes = succeed("-R", repo, "diff", "dr1", "--json").json()
    assert {
        "kind": "collection",
        "change": "added",
        "name": "wrong",
        "collection": None,
        "count": 1,
    } in changes
    details = succeed("-R", repo, "diff", "dr1", "--details", "--kind", "collection", "--json").json()
    assert details[0]["after"]["children"] == ["u/one"]
    dry = succeed("-R", repo, "restore", "dr1", "--dry-run")
    assert "wrong" in dry.out
    assert "nothing was changed" in dry.err
    assert succeed("-R", repo, "query-collections").out != before
    assert "version" in succeed("-R", repo, "restore", "dr1").err
    assert succeed("-R", repo, "query-collections").out == before
    assert "nothing to do" in succeed("-R", repo, "restore", "dr1").err
    log = succeed("-R", repo, "log", "--json").json()
    assert log[0]["op"] == "restore"
    assert [entry["version"] for entry in log if entry["tags"] == ["dr1"]] == [log[0]["version"] - 3]


def test_tags_are_listed_and_deleted(repo: Path) -> None:
    assert succeed("-R", repo, "tag").err.strip() == "no tag found"
    succeed("-R", repo, "tag", "a", "1")
    assert [(t["name"], t["version"]) for t in succeed("-R", repo, "tag", "--json").json()] == [("a", 1)]
    assert call("-R", repo, "tag", "a", "2").code == 3
    assert "it was version 1" in succeed("-R", repo, "tag", "a", "--delete").out
    assert call("-R", repo, "tag", "a", "--delete").code == 2
    assert call("-R", repo, "tag", "--delete").code == 2


def test_a_version_that_is_not_there_is_named(repo: Path) -> None:
    for verb in (("diff", "nosuch"), ("restore", "999"), ("tag", "x", "999")):
        failed = call("-R", repo, *verb)
        assert failed.code == 2
        assert verb[-1] in failed.err


def test_what_a_verb_commits_carries_a_message(repo: Path) -> None:
    succeed("-R", repo, "collection-chain", "best", "u/one", "-m", "the good ones")
    succeed("-R", repo, "register-dataset-type", "other", "Text", "instrument", "--message", "for later")
    said = [entry["message"] for entry in succeed("-R", repo, "log", "--limit", "2", "--json").json()]
    assert said == ["for later", "the good ones"]
