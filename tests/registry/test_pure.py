# SPDX-License-Identifier: BSD-3-Clause
"""The pure parts: what is new in a batch, and arithmetic of validity ranges."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from lakebutler.registry.dedupe import decide, repeated
from lakebutler.registry.validity import overlap, subtract

SPANS = st.tuples(st.integers(0, 30), st.integers(0, 30))


def instants(span: tuple[int, int]) -> set[int]:
    return set(range(span[0], span[1]))


@given(SPANS, SPANS)
def test_ranges_overlap_if_they_share_an_instant(a: tuple[int, int], b: tuple[int, int]) -> None:
    assert overlap(a, b) == bool(instants(a) & instants(b))


@given(SPANS.filter(lambda s: s[0] < s[1]), SPANS)
def test_what_remains_is_what_was_not_taken(whole: tuple[int, int], part: tuple[int, int]) -> None:
    rest = subtract(whole, part)
    left = [instants(span) for span in rest]
    assert set().union(*left) == instants(whole) - instants(part)
    assert all(left), "an empty range remained"
    assert sum(map(len, left)) == len(set().union(*left)), "ranges overlap"


IDS = [uuid.uuid5(uuid.NAMESPACE_URL, str(i)) for i in range(8)]


@given(
    st.integers(1, 6),
    st.dictionaries(st.integers(0, 5), st.sampled_from(IDS)),
    st.sets(st.integers(0, 5)),
)
def test_each_item_of_a_batch_is_new_same_or_in_conflict(
    n: int, by_key: dict[int, uuid.UUID], by_id: set[int]
) -> None:
    ids = [i.bytes for i in IDS[:n]]
    taken = {i: v.bytes for i, v in by_key.items() if i < n}
    known = {i: "elsewhere" for i in by_id if i < n and i not in taken}
    verdict = decide(ids, taken, known)
    conflicting = verdict.conflicting
    assert all(str(verdict.reason(i)) for i in conflicting)
    assert sorted([*verdict.new, *verdict.same, *conflicting]) == list(range(n))
    for i in range(n):
        if i in taken:
            assert (i in verdict.same) == (taken[i] == ids[i])
        else:
            assert (i in verdict.new) == (i not in known)


@given(st.lists(st.integers(0, 9)))
def test_the_first_repetition_is_found(keys: list[int]) -> None:
    position = repeated(keys)
    if position is None:
        assert len(set(keys)) == len(keys)
    else:
        assert keys[position] in keys[:position]
        assert len(set(keys[:position])) == position
