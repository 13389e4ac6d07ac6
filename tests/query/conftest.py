# SPDX-License-Identifier: BSD-3-Clause
"""One small repository for all tests of queries; none of them changes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

import lakebutler
from lakebutler import Butler
from lakebutler.query import direct
from tests.query.scenario import fill


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = str(tmp_path_factory.mktemp("query") / "repo")
    Butler.makeRepo(place)
    with Butler.from_config(place, writeable=True) as butler:
        fill(butler, lakebutler)
    return place


@pytest.fixture(scope="session")
def butler(root: str) -> Iterator[Butler]:
    with Butler.from_config(root) as found:
        yield found


@contextlib.contextmanager
def by_duckdb() -> Iterator[None]:
    """Let DuckDB answer what a few rows would have answered."""
    most = direct.MOST
    direct.MOST = -1
    try:
        yield
    finally:
        direct.MOST = most
