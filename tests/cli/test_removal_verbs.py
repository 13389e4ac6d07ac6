# SPDX-License-Identifier: BSD-3-Clause
"""Verbs that destroy: they show first, ask, and do it in one commit."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from lakebutler import Butler, CollectionType
from tests.cli.running import call, succeed


def tree(repo: Path) -> list[str]:
    return sorted(str(p.relative_to(repo)) for p in repo.rglob("*") if p.name != "views.sql")


def version(repo: Path) -> int:
    with Butler(str(repo)) as butler:
        return butler.version


@pytest.fixture
def tagged(repo: Path) -> Path:
    with Butler(str(repo), writeable=True, collections="u/one") as butler:
        butler.collections.register("best", CollectionType.TAGGED)
        butler.registry.associate("best", butler.query_datasets("bias"))
        butler.collections.register("all", CollectionType.CHAINED)
        butler.collections.redefine_chain("all", ["u/one", "u/two"])
    return repo


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.mark.parametrize(
    "arguments",
    [
        ("prune-datasets", "u/one", "--datasets", "bias"),
        ("prune-datasets", "--purge", "u/one"),
        ("prune-datasets", "u/one", "--datasets", "bias", "--disassociate", "best"),
        ("remove-runs", "u/*"),
        ("remove-collections", "best"),
        ("remove-dataset-type", "empty"),
    ],
)
def test_a_verb_that_destroys_shows_and_asks(
    tagged: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = version(tagged), tree(tagged)
    shown = succeed("-R", tagged, *arguments, "--dry-run")
    assert "nothing was changed (--dry-run)" in shown.err
    assert len(shown.out.splitlines()) >= 2
    answer(monkeypatch, "n\n")
    assert "nothing was changed" in succeed("-R", tagged, *arguments).err
    answer(monkeypatch, "")
    unanswered = call("-R", tagged, *arguments)
    assert unanswered.code == 2
    assert "--no-confirm" in unanswered.err
    assert (version(tagged), tree(tagged)) == before
    answer(monkeypatch, "y\n")
    succeed("-R", tagged, *arguments)
    assert version(tagged) == before[0] + 1


def test_pruning_removes_files_tags_or_all(tagged: Path) -> None:
    succeed(
        "prune-datasets", tagged, "u/one", "--datasets", "bias", "--where", "detector = 1", "--no-confirm"
    )
    with Butler(str(tagged), collections="u/one") as butler:
        refs = butler.query_datasets("bias", order_by="detector")
        assert [butler.stored(ref) for ref in refs] == [ref.dataId["detector"] != 1 for ref in refs]
    result = succeed(
        "prune-datasets", tagged, "u/one", "--datasets", "bias", "--disassociate", "best", "-y", "--quiet"
    )
    assert (result.out, result.err) == ("", "")
    with Butler(str(tagged)) as butler:
        assert butler.query_datasets("bias", "best", explain=False) == []
    succeed("prune-datasets", tagged, "all", "--purge", "u/one", "--find-all", "--no-confirm")
    with Butler(str(tagged)) as butler:
        assert butler.query_all_datasets(["u/one", "u/two"]) == []


def test_runs_in_chains_are_removed_only_by_force(tagged: Path) -> None:
    before = version(tagged)
    refused = call("remove-runs", tagged, "u/one", "--no-confirm")
    assert refused.code == 2
    assert "--force" in refused.err
    assert version(tagged) == before
    succeed("remove-runs", tagged, "u/one", "--no-confirm", "--force")
    with Butler(str(tagged)) as butler:
        assert butler.collections.get_info("all").children == ("u/two",)


def test_collections_in_chains_are_removed_only_on_demand(tagged: Path) -> None:
    succeed("collection-chain", tagged, "all", "best", "--mode", "extend")
    assert call("remove-collections", tagged, "best", "-y").code == 2
    kept = succeed("remove-collections", tagged, "*", "-y", "--remove-from-parents")
    assert "u/one" in kept.err
    with Butler(str(tagged)) as butler:
        assert set(butler.collections.query("*")) == {"u/one", "u/two"}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("prune-datasets",), "COLLECTIONS"),
        (("prune-datasets", "u/*"), "--find-all"),
        (("prune-datasets", "u/one", "--purge", "u/one", "--disassociate", "best"), "exclude"),
        (("prune-datasets", "u/one", "--quiet", "--dry-run"), "exclude"),
        (("prune-datasets", "nope", "-y"), "nope"),
        (("prune-datasets", "u/one", "--disassociate", "u/two", "-y"), "TAGGED"),
        (("prune-datasets", "best", "--purge", "best", "-y"), "run"),
        (("remove-runs", "best", "-y"), "run"),
        (("remove-runs", "nope*", "-y"), "nope"),
        (("remove-dataset-type", "bias", "-y"), "bias"),
        (("remove-dataset-type", "nope", "-y"), "nope"),
    ],
)
def test_what_makes_no_sense_changes_nothing(tagged: Path, arguments: tuple[str, ...], word: str) -> None:
    before = version(tagged), tree(tagged)
    result = call("-R", tagged, *arguments)
    assert result.code == 2, result.out + result.err
    assert word in result.err
    assert (version(tagged), tree(tagged)) == before


def test_the_configuration_is_written_and_checked(tmp_path: Path) -> None:
    seed = tmp_path / "seed.yaml"
    seed.write_text("datastore:\n  templates:\n    default: '{run:/}/{datasetType}/{id}'\n")
    succeed("create", tmp_path / "r", "--seed-config", seed)
    assert "templates" in succeed("config-dump", tmp_path / "r").out
    part = succeed("config-dump", tmp_path / "r", "--subset", ".datastore.templates.default")
    assert part.out.strip() == "'{run:/}/{datasetType}/{id}'"
    target = tmp_path / "out.yaml"
    succeed("config-dump", tmp_path / "r", "--file", target)
    assert "templates" in target.read_text()
    assert "nope" in call("config-dump", tmp_path / "r", "-s", ".nope").err
    assert succeed("config-validate", tmp_path / "r").out == "no problem found\n"
