# SPDX-License-Identifier: BSD-3-Clause
"""Provenance in its flat form, as headers hold it."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebutler.datasets import DatasetProvenance, DatasetRef, DatasetType
from lakebutler.errors import DataIdValueError, DatasetNotFoundError

TYPE = DatasetType("t", ["visit"], "StructuredDataDict")


def ref(number: int) -> DatasetRef:
    return DatasetRef(TYPE, {"instrument": "a", "visit": number}, f"r{number % 2}", UUID(int=number))


class Known:
    """What a butler is for provenance: datasets by id."""

    def __init__(self, refs: Iterable[DatasetRef]) -> None:
        self.refs = {r.id: r for r in refs}

    def get_many_datasets(self, ids: Iterable[UUID]) -> list[DatasetRef | None]:
        return [self.refs.get(i) for i in ids]


def sample() -> DatasetProvenance:
    made = DatasetProvenance([ref(1), ref(2), ref(1)], UUID(int=7))
    made.add_extra_provenance(ref(2).id, {"Weight": 2.5})
    return made


def test_the_flat_form_is_that_of_the_field() -> None:
    assert sample().to_flat_dict(ref(3)) == {
        "id": UUID(int=3), "run": "r1", "datasettype": "t", "dataid.instrument": "a", "dataid.visit": 3,
        "quantum": UUID(int=7), "n_inputs": 2,
        "input.0.id": UUID(int=1), "input.0.run": "r1", "input.0.datasettype": "t",
        "input.1.id": UUID(int=2), "input.1.run": "r0", "input.1.datasettype": "t", "input.1.Weight": 2.5,
    }  # fmt: skip


def test_headers_get_upper_case_and_strings() -> None:
    flat = sample().to_flat_dict(ref(3), prefix="LSST BUTLER", sep=" ", simple_types=True)
    assert flat["LSST BUTLER ID"] == str(UUID(int=3))
    assert flat["LSST BUTLER N_INPUTS"] == 2
    assert flat["LSST BUTLER INPUT 1 WEIGHT"] == 2.5
    assert "lsst x.id" in sample().to_flat_dict(ref(3), prefix="lsst x")
    assert "ID" in sample().to_flat_dict(ref(3), use_upper=True)


def test_inputs_can_be_left_out() -> None:
    assert "input.0.id" not in sample().to_flat_dict(None, max_inputs=1)
    assert sample().to_flat_dict(None, max_inputs=1)["n_inputs"] == 2
    short = sample().to_flat_dict(None, store_minimalist_inputs=True)
    assert "input.0.id" in short
    assert "input.0.run" not in short
    assert DatasetProvenance().to_flat_dict(None) == {}


@pytest.mark.parametrize("sep", ["", "ab", "_", "x", "1", "é"])
def test_a_separator_that_cannot_be_told_from_a_name_is_refused(sep: str) -> None:
    with pytest.raises(ValueError, match="separator"):
        sample().to_flat_dict(None, sep=sep)


@given(
    numbers=st.lists(st.integers(1, 50), max_size=12, unique=True),
    quantum=st.none() | st.uuids(),
    own=st.none() | st.just(99),
    prefix=st.sampled_from(["", "lsst", "A b.c", "é"]),
    sep=st.sampled_from([".", " ", ":", "-"]),
    simple=st.booleans(),
)
def test_a_flat_form_can_be_read_back_and_taken_out(
    numbers: list[int], quantum: UUID | None, own: int | None, prefix: str, sep: str, simple: bool
) -> None:
    made = DatasetProvenance(
        map(ref, numbers), quantum, {ref(n).id: {"weight": n} for n in numbers if n % 3 == 0}
    )
    mine = None if own is None else ref(own)
    flat = {
        **made.to_flat_dict(mine, prefix=prefix, sep=sep, simple_types=simple, use_upper=False),
        "OBJECT": "M31",
        "identity": 5,
    }
    known = Known([*map(ref, numbers), ref(99)])
    if numbers or quantum or own:
        again, again_ref = DatasetProvenance.from_flat_dict(flat, known)
        assert again == made
        assert again_ref == mine
    DatasetProvenance.strip_provenance_from_flat_dict(flat)
    assert flat == {"OBJECT": "M31", "identity": 5}


def test_what_is_missing_is_named() -> None:
    with pytest.raises(DataIdValueError, match="no provenance"):
        DatasetProvenance.from_flat_dict({"id": 5, "OBJECT": "M31"}, Known([]))
    with pytest.raises(DatasetNotFoundError, match=f"input {ref(2).id}"):
        DatasetProvenance.from_flat_dict(sample().to_flat_dict(None), Known([ref(1)]))
    with pytest.raises(DatasetNotFoundError, match=f"dataset {ref(3).id}"):
        DatasetProvenance.from_flat_dict(sample().to_flat_dict(ref(3)), Known([ref(1), ref(2)]))
    with pytest.raises(DataIdValueError, match="no dataset id"):
        DatasetProvenance.from_flat_dict({"n_inputs": 1, "input.0.id": "xyz"}, Known([]))


def test_facts_are_of_inputs_that_are_there_and_do_not_hide_others() -> None:
    with pytest.raises(DatasetNotFoundError, match="not among the inputs"):
        sample().add_extra_provenance(ref(9).id, {"a": 1})
    for key in ("id", "RUN", "datasetType", ""):
        with pytest.raises(DataIdValueError, match="cannot be the key"):
            sample().add_extra_provenance(ref(1).id, {key: 1})
    with pytest.raises(DataIdValueError, match="must be a string, number or id, not list"):
        sample().add_extra_provenance(ref(1).id, {"a": [1]})
    assert sample().extras == {ref(2).id: {"Weight": 2.5}}
