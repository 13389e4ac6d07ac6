# SPDX-License-Identifier: BSD-3-Clause
"""What a relation of Butler.sql lets its holder do: read, and nothing to the repository."""

from __future__ import annotations

import hashlib
from pathlib import Path

import duckdb
import pytest

from lakebutler import Butler
from tests.query.test_sql_page import fill


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Butler.makeRepo(str(tmp_path / "repo"))
    with Butler.from_config(str(tmp_path / "repo"), writeable=True) as butler:
        fill(butler)
        butler._repository.lake.checkpoint()
    return tmp_path / "repo"


def _content(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("verb", ["write_parquet", "to_parquet", "write_csv", "to_csv"])
def test_a_relation_cannot_write_over_the_files_that_it_reads(root: Path, verb: str) -> None:
    files = [str(path) for path in root.rglob("*.parquet")]
    assert files
    with Butler.from_config(str(root)) as butler:
        before = _content(root)
        relation = butler.sql("SELECT * FROM exposure")
        for name in files:
            with pytest.raises(duckdb.PermissionException):
                getattr(relation, verb)(name)
        assert len(relation.fetchall()) == 4
        assert _content(root) == before


def test_what_is_made_through_one_relation_is_not_there_for_the_next(root: Path) -> None:
    with Butler.from_config(str(root)) as butler:
        butler.sql("SELECT 1 AS visit").create("mine")
        assert butler.sql("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'mine'").fetchall() == [
            (0,)
        ]
        assert butler.sql("SELECT count(*) FROM visit").fetchall() == [(4,)]


def test_a_relation_cannot_be_unlocked(root: Path) -> None:
    with Butler.from_config(str(root)) as butler:
        relation = butler.sql("SELECT * FROM exposure")
        with pytest.raises(duckdb.Error, match="lock"):
            relation.query("r", "SET lock_configuration = false")
        with pytest.raises(duckdb.PermissionException):
            relation.query("r", "SELECT * FROM read_text('/etc/hostname')")
