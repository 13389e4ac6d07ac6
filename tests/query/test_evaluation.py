# SPDX-License-Identifier: BSD-3-Clause
"""Random queries find what loops over the same records find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebutler import Butler
from lakebutler.errors import CalibrationLookupError
from tests.query import brute
from tests.query.conftest import by_duckdb
from tests.query.expressions import Term, conditions

ANY_INSTRUMENT = "instrument != '' AND "
"""Satisfies the governor rule."""


def _used(term: Term) -> set[str]:
    return {*term.dimensions, "instrument"}


def _where(term: Term) -> Callable[[brute.Row], Any]:
    return term.value


@given(
    st.sampled_from(
        [
            ["exposure"],
            ["detector"],
            ["exposure", "detector"],
            ["visit"],
            ["visit", "exposure"],
            ["band"],
            ["physical_filter"],
            ["instrument"],
            ["day_obs", "band"],
            ["visit_system", "visit"],
        ]
    ),
    conditions,
)
def test_random_conditions_find_the_data_ids_that_loops_find(
    butler: Butler, dimensions: list[str], term: Term
) -> None:
    wanted = brute.data_ids(butler.dimensions, dimensions, _used(term), term.value)
    with butler.query() as query:
        results = query.data_ids(dimensions).where(f"{ANY_INSTRUMENT}({term.text})", bind=term.binds)
        found = list(results)
        assert {data_id.required_values for data_id in found} == wanted
        assert len(found) == len(wanted) == results.count()
        assert results.any() is bool(wanted)
        assert bool(results.explain_no_results()) is not bool(wanted)
        with by_duckdb():
            assert {data_id.required_values for data_id in results} == wanted
            assert results.count() == len(wanted)
            assert results.any() is bool(wanted)


@given(
    st.sampled_from(
        ["exposure", "visit", "detector", "physical_filter", "instrument", "day_obs", "visit_definition"]
    ),
    conditions,
)
def test_random_conditions_find_the_records_that_loops_find(butler: Butler, element: str, term: Term) -> None:
    names = butler.dimensions[element].minimal_group.names
    wanted = brute.data_ids(butler.dimensions, names, _used(term), term.value)
    with butler.query() as query:
        results = query.dimension_records(element).where(f"{ANY_INSTRUMENT}({term.text})", bind=term.binds)
        found = list(results)
        assert sorted(record.dataId.required_values for record in found) == sorted(wanted)
        assert results.count() == len(found)
        with by_duckdb():
            assert {record.dataId for record in results} == {record.dataId for record in found}
    for record in found[:3]:
        assert record in butler.query_dimension_records(element, data_id=record.dataId)


SEARCHES: list[tuple[str, list[str]]] = [
    ("raw", ["A/raw"]),
    ("raw", ["raws"]),
    ("raw", ["tag", "chain"]),
    ("calexp", ["chain"]),
    ("calexp", ["u/one", "u/two", "tag"]),
    ("bias", ["calib"]),
    ("bias", ["calibs"]),
    ("bias", ["tag", "calib2", "calibs/two"]),
    ("flat", ["calibs"]),
    ("flat", ["calib"]),
    ("camera", ["calibs"]),
    ("nightly", ["back"]),
]


@given(st.sampled_from(SEARCHES), conditions, st.booleans())
def test_random_conditions_find_the_datasets_that_loops_find(
    butler: Butler, search: tuple[str, list[str]], term: Term, find_first: bool
) -> None:
    dataset_type, collections = search
    wanted = brute.datasets(
        butler.dimensions, dataset_type, collections, _used(term), term.value, find_first=find_first
    )
    with butler.query() as query:
        results = query.datasets(dataset_type, collections, find_first=find_first)
        results = results.where(f"{ANY_INSTRUMENT}({term.text})", bind=term.binds)
        if wanted is None:
            with pytest.raises(CalibrationLookupError, match=dataset_type):
                list(results)
            with pytest.raises(CalibrationLookupError, match=dataset_type):
                results.count()
            with by_duckdb(), pytest.raises(CalibrationLookupError, match=dataset_type):
                list(results)
            assert results.any()
            return
        refs = list(results)
        with by_duckdb():
            assert set(results) == set(refs)
            assert results.count() == len(refs)
        keys = brute.TYPE_DIMENSIONS[dataset_type]
        found = [(tuple(ref.dataId[key] for key in keys), ref.run) for ref in refs]
        assert sorted(found) == sorted(wanted)
        assert results.count() == len(found)
        assert results.any() is bool(found)
        assert {d.required_values for d in results.data_ids} == {ref.dataId.required_values for ref in refs}
