# SPDX-License-Identifier: BSD-3-Clause
"""The verbs that change a repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakebutler import Butler
from tests.cli.running import call, succeed


def test_a_repository_is_made_and_says_what_to_do_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = succeed("create", "new")
    assert "created" in result.out
    assert "register-instrument" in result.out
    assert succeed("query-collections", "new").rows() == []
    assert "no collections yet" in succeed("query-collections", "new").err
    succeed("-R", tmp_path / "other", "create")
    assert Butler.from_config(str(tmp_path / "other")).dimensions.version == 8


def test_a_repository_is_never_made_twice(repo: Path) -> None:
    before = sorted(p.relative_to(repo) for p in repo.rglob("*"))
    result = call("create", repo)
    assert result.code == 3
    assert str(repo) in result.err
    assert sorted(p.relative_to(repo) for p in repo.rglob("*")) == before


def test_a_repository_may_have_a_universe_of_its_own(tmp_path: Path) -> None:
    import yaml

    from lakebutler import DimensionUniverse

    config = dict(DimensionUniverse().to_config())
    config["namespace"] = "ours"
    file = tmp_path / "universe.yaml"
    file.write_text(yaml.safe_dump(config))
    assert "dimensions ours" in succeed("create", tmp_path / "r", "--dimension-config", file).out


def test_a_dataset_type_is_registered_once(repo: Path) -> None:
    arguments = ["register-dataset-type", repo, "dark", "StructuredDataDict", "detector", "--is-calibration"]
    assert succeed(*arguments).out.startswith("registered: dark")
    assert succeed(*arguments).out.startswith("already registered: dark")
    assert call(*arguments[:-1]).code == 3
    assert succeed("register-dataset-type", repo, "plain", "StructuredDataDict").out.startswith("registered")
    (row,) = succeed("query-dataset-types", repo, "dark", "--json").json()
    assert row["is_calibration"] is True


def test_files_named_in_a_table_are_ingested(repo: Path, tmp_path: Path) -> None:
    for detector in range(3):
        (tmp_path / f"b{detector}.yaml").write_text(f"level: {detector * 10}\n")
    table = tmp_path / "files.csv"
    table.write_text("file,detector\n" + "".join(f"b{i}.yaml,{i}\n" for i in range(3)))
    result = succeed(
        "ingest-files",
        repo,
        "bias",
        "u/three",
        table,
        "--prefix",
        tmp_path,
        "--data-id",
        "instrument=Cam",
        "-t",
        "copy",
    )
    assert "3 bias" in result.out
    butler = Butler.from_config(str(repo), collections=["u/three"])
    assert [butler.get("bias", instrument="Cam", detector=i)["level"] for i in range(3)] == [0, 10, 20]


def test_ids_of_ingested_files_can_be_the_same_everywhere(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("level: 1\n")
    table = tmp_path / "files.csv"
    table.write_text(f"file,instrument,detector\n{tmp_path}/b.yaml,Cam,2\n")
    ids = set()
    for place in (repo, tmp_path / "again"):
        if place != repo:
            succeed("create", place)
            butler = Butler.from_config(str(place), writeable=True)
            butler.registry.insertDimensionData("instrument", {"name": "Cam"})
            butler.registry.insertDimensionData(
                "detector", {"instrument": "Cam", "id": 2, "full_name": "S02"}
            )
            succeed(
                "register-dataset-type", place, "bias", "StructuredDataDict", "detector", "--is-calibration"
            )
        succeed(
            "ingest-files",
            place,
            "bias",
            "u/x",
            table,
            "--id-generation-mode",
            "DATAID_TYPE_RUN",
            "-t",
            "copy",
        )
        ids.update(
            r["id"] for r in succeed("query-datasets", place, "bias", "--collections", "u/x", "--json").json()
        )
    assert len(ids) == 1


def test_a_chain_is_defined_extended_shortened_and_popped(repo: Path) -> None:
    def chain(*arguments: str) -> str:
        return succeed("collection-chain", repo, "c", *arguments).out.strip()

    assert chain("u/one") == "c: [u/one]"
    assert chain("--mode", "extend", "u/two") == "c: [u/one, u/two]"
    assert chain("--mode", "remove", "u/one") == "c: [u/two]"
    assert chain("--mode", "prepend", "u/one") == "c: [u/one, u/two]"
    assert chain("--mode", "pop", "--", "-1") == "c: [u/one]"
    assert chain("--mode", "pop") == "c: []"
    assert chain("u/two,u/one") == "c: [u/two, u/one]"
    succeed("collection-chain", repo, "d", "c", "--flatten")
    (row,) = succeed("query-collections", repo, "d", "--chains", "table", "--json").json()
    assert row["children"] == ["u/two", "u/one"]


def test_datasets_are_tagged_by_a_query(repo: Path) -> None:
    result = succeed(
        "associate", repo, "best", "-d", "bias", "--collections", "u/one", "--where", "detector < 2"
    )
    assert "best: 2 datasets" in result.out
    assert len(succeed("query-datasets", repo, "bias", "--collections", "best", "--json").json()) == 2
    again = succeed("associate", repo, "best", "-d", "bias", "--collections", "u/two,u/one", "--find-first")
    assert "4 datasets" in again.out
    runs = {r["detector"]: r["run"] for r in succeed(
        "query-datasets", repo, "bias", "--collections", "best", "--json").json()}  # fmt: skip
    assert runs == {0: "u/two", 1: "u/one", 2: "u/one", 3: "u/one"}


def test_tagging_nothing_makes_no_collection(repo: Path) -> None:
    result = call("associate", repo, "none", "-d", "bias", "--where", "detector = 99", "--exit-code")
    assert result.code == 1
    assert [r["name"] for r in succeed("query-collections", repo, "n*").rows()] == []


def test_calibrations_are_certified_for_a_time(repo: Path) -> None:
    result = succeed(
        "certify-calibrations", repo, "u/one", "calib", "bias",
        "--begin-date", "2024-01-01", "--end-date", "2024-02-01T12:00:00",
    )  # fmt: skip
    assert "4 bias" in result.out
    overlap = call("certify-calibrations", repo, "u/two", "calib", "bias", "--begin-date", "2024-01-15")
    assert overlap.code == 3
    assert "bias" in overlap.err
    succeed("certify-calibrations", repo, "u/two", "calib", "bias", "--begin-date", "2024-03-01")


def test_files_are_retrieved_to_a_directory(repo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = succeed("retrieve-artifacts", repo, out, "-d", "bias", "--collections", "u/one", "-v")
    assert "4 files" in result.out
    assert len([p for p in out.rglob("*") if p.is_file()]) == 4
    flat = tmp_path / "flat"
    succeed("retrieve-artifacts", "-R", repo, flat, "-d", "flat", "--no-preserve-path", "-t", "copy")
    assert len([p for p in flat.iterdir() if p.is_file()]) == 4


def test_retrieving_does_not_overwrite_unless_told(repo: Path, tmp_path: Path) -> None:
    arguments = ["retrieve-artifacts", repo, tmp_path / "out", "-d", "note"]
    succeed(*arguments)
    assert call(*arguments).code in {2, 3}
    succeed(*arguments, "--clobber")


def test_a_write_verb_says_who_wrote_in_the_log(repo: Path) -> None:
    succeed("collection-chain", repo, "c", "u/one")
    newest = succeed("log", repo, "--limit", "1", "--json").json()[0]
    assert newest["op"]
    assert newest["who"]
