# SPDX-License-Identifier: BSD-3-Clause
"""The page of methods says what both packages have, and every gap has its reason."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "methods.md"
ROW = re.compile(r"^\| `(?P<theirs>[^`]+)` \| (?P<ours>[^|]+) \| (?P<why>[^|]*) \|$", re.MULTILINE)


def test_what_is_not_there_has_a_reason() -> None:
    rows = list(ROW.finditer(PAGE.read_text()))
    assert len(rows) > 300
    for row in rows:
        if row["ours"].startswith(("–", "without")):
            assert row["why"].strip(), row[0]


def test_the_page_is_that_of_the_packages() -> None:
    if not os.environ.get("PY_daf_butler"):  # noqa: SIM112 (the name that the benchmarks have)
        pytest.skip("PY_daf_butler does not name a Python with lsst-daf-butler")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "compare_api.py"), "--check"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


NAME = re.compile(r"^\| `lsst[\w.]+` \| `(?P<name>\w+)` \| `(?P<module>[\w.]+)` \|$", re.MULTILINE)


def test_names_are_imported_from_where_the_page_says() -> None:
    rows = list(NAME.finditer(PAGE.read_text()))
    assert len(rows) > 80
    for row in rows:
        assert getattr(import_module(row["module"]), row["name"]) is not None


def test_names_of_the_registry_and_of_queries_are_where_they_are_known() -> None:
    from lakebutler import Butler, DatasetId, Registry, errors, queries, registry
    from lakebutler.butler.registry_api import ButlerRegistry
    from lakebutler.query.query import Query
    from lakebutler.registry import CollectionType, ConflictingDefinitionError, MissingCollectionError

    assert Registry is ButlerRegistry
    assert queries.Query is Query
    assert {CollectionType.RUN, DatasetId, Butler}
    assert (ConflictingDefinitionError, MissingCollectionError) == (
        errors.ConflictingDefinitionError,
        errors.MissingCollectionError,
    )
    assert all(getattr(registry, name) is not None and name in dir(registry) for name in registry.__all__)
    with pytest.raises(AttributeError, match=r"'Registry': it is lakebutler\.Registry"):
        registry.Registry  # noqa: B018
    with pytest.raises(AttributeError, match=r"'Rgistry'$"):
        registry.Rgistry  # noqa: B018


def test_importing_the_names_imports_nothing_heavy() -> None:
    script = (
        "import sys, lakebutler.registry, lakebutler.queries;"
        "from lakebutler.registry import CollectionType;"
        "print(sorted({'duckdb', 'pyarrow', 'astropy', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
