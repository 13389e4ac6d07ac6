# SPDX-License-Identifier: BSD-3-Clause
"""Writers on a remote store: what a lost race costs, and who waits."""

from __future__ import annotations

import pytest

from lakebutler.lake.lake import Lake
from lakebutler.lake.storage import open_storage
from lakebutler.lake.storage.object import ObjectStorage
from lakebutler.lake.turns import Turns
from tests.lake.test_storage_s3 import Counting, adding, lake_of
from tests.s3server import S3Root, s3_root, s3_server  # noqa: F401


def test_who_has_won_among_others_waits_and_who_was_alone_does_not() -> None:
    turns = Turns()
    turns.won(0.1)
    assert turns.pause() == 0
    turns.others(3)
    turns.won(0.1)
    assert turns.rivals == 3
    pauses = [turns.pause() for _ in range(500)]
    assert 0 <= min(pauses) < 0.1 < 0.4 < max(pauses) <= 0.6 + 1e-9
    turns.won(0.1)
    assert turns.pause() == 0


@pytest.mark.s3
def test_a_lost_race_costs_three_requests(s3_root: S3Root) -> None:  # noqa: F811
    lake_of(s3_root)

    def opened() -> tuple[Lake, Counting]:
        storage = open_storage(s3_root.url, storage_options=s3_root.storage_options)
        assert isinstance(storage, ObjectStorage)
        counting = Counting(storage)
        return Lake.open(storage), counting

    (one, _), (other, counting) = opened(), opened()
    for others, wanted in ((0, 1), (1, 3)):
        for n in range(others):
            one.commit(adding(("one", n)), op="add")
        counting.made.clear()
        other.commit(adding(("other", others)), op="add")
        assert len(counting.made) == wanted, counting.made
    assert [entry.version for entry in other.history()] == list(range(3, -1, -1))
