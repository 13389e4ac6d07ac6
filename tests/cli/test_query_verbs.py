# SPDX-License-Identifier: BSD-3-Clause
"""The verbs that ask."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tests.cli.running import call, succeed


def test_every_way_to_name_the_repository_gives_the_same_answer(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = succeed("query-datasets", repo, "bias").out
    assert expected.count("\n") == 6
    assert succeed("-R", repo, "query-datasets", "bias").out == expected
    assert succeed("query-datasets", "-R", repo, "bias").out == expected
    assert succeed("query-datasets", "bias", "--repo", repo).out == expected
    assert succeed("query-datasets", f"file://{repo}", "bias").out == expected
    assert succeed("query-datasets", "../repo", "bias").out == expected
    with monkeypatch.context() as patch:
        patch.setenv("LAKEBUTLER_REPO", str(repo))
        assert succeed("query-datasets", "bias").out == expected
    monkeypatch.chdir(repo.parent)
    assert succeed("query-datasets", "repo", "bias").out == expected
    monkeypatch.chdir(repo)
    assert succeed("query-datasets", "bias").out == expected
    monkeypatch.chdir(repo / "datastore" / "u")
    found = succeed("query-datasets", "bias")
    assert found.out == expected
    assert "2 levels up" in found.err


def test_the_repository_given_by_option_leaves_every_argument_to_the_verb(repo: Path) -> None:
    result = call("-R", repo, "query-datasets", repo)
    assert result.code == 2
    assert f"no dataset type {str(repo)!r}" in result.err


def test_datasets_are_listed_with_run_id_and_data_id(repo: Path) -> None:
    records = succeed(
        "query-datasets", repo, "flat", "--json", "--order-by", "detector,-physical_filter"
    ).json()
    assert [(r["run"], r["detector"], r["physical_filter"]) for r in records] == [
        ("u/two", 0, "r-filter"),
        ("u/two", 0, "g-filter"),
        ("u/two", 1, "r-filter"),
        ("u/two", 1, "g-filter"),
    ]
    assert {r["band"] for r in records} == {"g", "r"}
    assert all(len(r["id"]) == 36 for r in records)


def test_datasets_of_several_types_are_one_list_for_a_program(repo: Path) -> None:
    records = succeed("query-datasets", repo, "fl*", "note", "--json").json()
    assert {r["type"] for r in records} == {"flat", "note"}
    assert all(set(r) == set(records[0]) for r in records)
    table = list(csv.DictReader(io.StringIO(succeed("query-datasets", repo, "flat,note", "--csv").out)))
    assert len(table) == len(records) == 5


def test_conditions_narrow_and_limits_cut(repo: Path) -> None:
    where = ["query-datasets", repo, "bias", "--where", "detector > 0 AND instrument = 'Cam'"]
    assert [r["detector"] for r in succeed(*where, "--json", "--order-by", "-detector").json()] == [3, 2, 1]
    assert len(succeed(*where, "--limit", "2", "--json").json()) == 2
    cut = succeed(*where, "--limit", "2", "--offset", "2", "--order-by", "detector", "--json").json()
    assert [r["detector"] for r in cut] == [3]
    assert len(succeed("query-datasets", repo, "--limit", "7", "--json").json()) == 7


def test_collections_restrict_and_find_first_takes_the_first(repo: Path) -> None:
    in_two = succeed("query-datasets", repo, "bias", "--collections", "u/two", "--json").json()
    assert [r["run"] for r in in_two] == ["u/two"]
    first = succeed(
        "query-datasets", repo, "bias", "--collections", "u/two,u/one", "--find-first", "--json"
    ).json()
    assert sorted((r["detector"], r["run"]) for r in first) == [
        (0, "u/two"),
        (1, "u/one"),
        (2, "u/one"),
        (3, "u/one"),
    ]
    assert len(succeed("query-datasets", repo, "bias", "--collections", "u/*", "--json").json()) == 5


def test_the_address_of_a_dataset_is_that_of_its_file(repo: Path) -> None:
    (record,) = succeed("query-datasets", repo, "note", "--show-uri", "--json").json()
    assert record["uri"].startswith("file://")
    assert Path(record["uri"].removeprefix("file://")).is_file()


def test_nothing_found_says_why_and_is_an_error_only_on_request(repo: Path) -> None:
    result = succeed("query-datasets", repo, "bias", "--where", "detector = 99")
    assert result.rows() == []
    assert "no dataset found" in result.err
    assert call("query-datasets", repo, "bias", "--where", "detector = 99", "--exit-code").code == 1
    assert call("query-datasets", repo, "bias", "--exit-code").code == 0
    assert "no dataset type matches 'x*'" in succeed("query-datasets", repo, "x*").err
    assert succeed("query-datasets", repo, "empty", "--json").json() == []


def test_data_ids_are_listed_for_dimensions_and_for_datasets(repo: Path) -> None:
    assert [r["detector"] for r in succeed("query-data-ids", repo, "detector", "--json").json()] == [
        0,
        1,
        2,
        3,
    ]
    found = succeed(
        "query-data-ids", repo, "detector", "--datasets", "flat", "--collections", "u/two", "--json"
    ).json()
    assert [r["detector"] for r in found] == [0, 1]
    own = succeed("query-data-ids", repo, "--datasets", "flat", "--collections", "u/two", "--json").json()
    assert len(own) == 4
    assert set(own[0]) >= {"instrument", "detector", "physical_filter"}


def test_dimension_records_show_their_fields(repo: Path) -> None:
    records = succeed("query-dimension-records", repo, "detector", "--where", "detector < 2", "--json").json()
    assert [r["full_name"] for r in records] == ["S00", "S01"]
    assert "full_name" in succeed("query-dimension-records", repo, "detector", "--csv").out.splitlines()[0]
    cut = succeed(
        "query-dimension-records", repo, "detector", "--order-by", "-detector", "--limit", "1", "--json"
    )
    assert [r["id"] for r in cut.json()] == [3]


def test_the_plan_is_shown_instead_of_the_answer(repo: Path) -> None:
    for arguments in (
        ["query-datasets", repo, "bias"],
        ["query-data-ids", repo, "detector"],
        ["query-dimension-records", repo, "detector"],
    ):
        assert "SELECT" in succeed(*arguments, "--where", "detector > 1", "--explain").out


def test_collections_are_listed_flat_as_trees_and_with_relatives(repo: Path) -> None:
    succeed("collection-chain", repo, "inner", "u/one")
    succeed("collection-chain", repo, "outer", "inner,u/two")
    names = [r["name"] for r in succeed("query-collections", repo, "outer").rows()]
    assert names == ["outer", "  inner", "    u/one", "  u/two"]
    flat = succeed("query-collections", repo, "outer", "--chains", "flatten").rows()
    assert [r["name"] for r in flat] == ["u/one", "u/two"]
    (row,) = succeed("query-collections", repo, "outer", "--chains", "table", "--json").json()
    assert row == {"name": "outer", "type": "CHAINED", "children": ["inner", "u/two"]}
    (row,) = succeed("query-collections", repo, "u/one", "--chains", "inverse-table", "--json").json()
    assert row["parents"] == ["inner"]
    up = succeed("query-collections", repo, "u/one", "--chains", "inverse-tree").rows()
    assert [r["name"] for r in up] == ["u/one", "  inner", "    outer"]
    only = succeed(
        "query-collections", repo, "--collection-type", "chained", "--chains", "no-children"
    ).rows()
    assert [r["name"] for r in only] == ["inner", "outer"]


def test_collections_show_their_dataset_types(repo: Path) -> None:
    rows = succeed("query-collections", repo, "-t", "--json").json()
    assert {r["name"]: r["dataset_types"] for r in rows} == {
        "u/one": ["bias"],
        "u/two": ["bias", "flat", "note"],
    }
    rows = succeed("query-collections", repo, "-t", "--exclude-dataset-types", "b*,note", "--json").json()
    assert {r["name"]: r["dataset_types"] for r in rows} == {"u/one": [], "u/two": ["flat"]}


def test_dataset_types_are_listed_by_name_and_in_full(repo: Path) -> None:
    assert succeed("query-dataset-types", repo).out.split() == ["name", "bias", "empty", "flat", "note"]
    (row,) = succeed("query-dataset-types", repo, "flat", "--json").json()
    assert row == {
        "name": "flat",
        "dimensions": ["instrument", "detector", "physical_filter"],
        "storage_class": "StructuredDataDict",
        "is_calibration": True,
    }
    held = succeed("query-dataset-types", repo, "--collections", "u/one").rows()
    assert [r["name"] for r in held] == ["bias"]
    full = succeed(
        "query-dataset-types", repo, "-v", "--where", "NOT is_calibration", "--order-by", "-name"
    ).rows()
    assert [r["name"] for r in full] == ["note", "empty"]


def test_sql_answers_with_columns_and_rows(repo: Path) -> None:
    query = "SELECT run, count(*) AS n FROM bias GROUP BY run ORDER BY run"
    assert succeed("sql", repo, query).rows() == [{"run": "u/one", "n": "4"}, {"run": "u/two", "n": "1"}]
    assert succeed("-R", repo, "sql", query, "--json", "--limit", "1").json() == [{"run": "u/one", "n": 4}]
    assert call("sql", repo, "SELECT * FROM bias WHERE false", "--exit-code").code == 1


def test_sql_without_a_query_lists_the_tables(repo: Path) -> None:
    names = {row["name"] for row in succeed("sql", repo).rows()}
    assert names >= {"bias", "flat", "detector", "collection"}


def test_the_log_lists_commits_newest_first(repo: Path) -> None:
    rows = succeed("log", repo, "--json").json()
    versions = [row["version"] for row in rows]
    assert versions == sorted(versions, reverse=True)
    assert set(rows[0]) == {"version", "time", "who", "op", "message", "tags"}
    assert len(succeed("log", repo, "--limit", "2").rows()) == 2
    assert succeed("log", repo, "--where", f"version = {versions[1]}", "--json").json() == rows[1:2]


def test_values_of_options_may_come_from_a_file(repo: Path, tmp_path: Path) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("query-datasets:\n  where: detector = 3\n  limit: 5\n  order-by: detector\n")
    assert len(succeed("query-datasets", repo, "bias", "-@", file, "--json").json()) == 1
    assert (
        len(succeed("query-datasets", repo, "bias", "-@", file, "--where", "detector > 1", "--json").json())
        == 2
    )
    assert len(succeed("query-dimension-records", repo, "detector", "-@", file, "--json").json()) == 4
