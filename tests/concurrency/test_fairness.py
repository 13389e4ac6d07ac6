# SPDX-License-Identifier: BSD-3-Clause
"""Many writers at once: nobody starves, nothing is lost."""

from __future__ import annotations

import pytest

from tests.butler.world import Place
from tests.concurrency.test_butler_concurrency import place, run_all  # noqa: F401
from tests.s3server import s3_server  # noqa: F401

LONGEST = 30.0
"""Seconds that nobody may wait for a commit."""


def nobody_starves(place: Place, writers: int, each: int) -> None:  # noqa: F811
    outcome = run_all(place, [(f"busy/{n}", range(each)) for n in range(writers)], readers=1)
    kind = "S3" if place.remote else "local"
    print(f"{kind}, {writers} x {each}: the longest put took {outcome.slowest:.3f} s")
    assert all(won == list(range(each)) for _, won in outcome.won.values())
    assert outcome.slowest < LONGEST


def test_sixteen_writers_all_have_their_turn(place: Place) -> None:  # noqa: F811
    if place.remote:
        nobody_starves(place, 8, 2)
    else:
        nobody_starves(place, 16, 5)


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_sixteen_writers_of_many_datasets_all_have_their_turn(place: Place) -> None:  # noqa: F811
    if place.remote:
        nobody_starves(place, 8, 25)
    else:
        nobody_starves(place, 16, 200)
