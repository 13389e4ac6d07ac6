# SPDX-License-Identifier: BSD-3-Clause
"""A butler counts what it reads and writes, where it is asked to."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakebutler import Butler, DatasetNotFoundError, DatasetRef, FileDataset
from lakebutler.butler.metrics import ButlerMetrics
from tests.butler.conftest import RUN
from tests.butler.world import CAM


def test_reads_writes_and_ingests_are_counted(local_butler: Butler, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("{}")
    kind = local_butler.get_dataset_type("bias")
    third = DatasetRef(kind, local_butler.registry.expandDataId(instrument=CAM, detector=3), RUN)
    with local_butler.record_metrics() as metrics:
        refs = [local_butler.put({"d": d}, "bias", instrument=CAM, detector=d) for d in range(2)]
        local_butler.get(refs[0])
        local_butler.getDeferred(refs[1]).get()
        with pytest.raises(DatasetNotFoundError):
            local_butler.get("bias", instrument=CAM, detector=2)
        local_butler.ingest(FileDataset(str(file), [third]), transfer="copy")
        with local_butler.record_metrics() as inner:
            local_butler.get(third)
    local_butler.get(third)
    assert (metrics.n_put, metrics.n_get, metrics.n_ingest) == (2, 2, 1)
    assert (inner.n_put, inner.n_get) == (0, 1)
    assert min(metrics.time_in_put, metrics.time_in_get, metrics.time_in_ingest, inner.time_in_get) > 0
    metrics.reset()
    assert metrics == ButlerMetrics()


def test_what_was_counted_can_be_added_to(local_butler: Butler) -> None:
    metrics = ButlerMetrics()
    for d in range(2):
        with local_butler.record_metrics(metrics) as same:
            local_butler.put({}, "bias", instrument=CAM, detector=d)
        assert same is metrics
    assert metrics.n_put == 2


def test_a_butler_can_be_opened_to_be_measured(local_butler: Butler) -> None:
    metrics, other = ButlerMetrics(), ButlerMetrics()
    with Butler(local_butler.root, run="u/measured", metrics=metrics) as butler:
        ref = butler.put({}, "bias", instrument=CAM, detector=0)
        with butler.record_metrics(other):
            butler.get(ref)
        with butler.clone(metrics=other) as clone, butler.clone() as unmeasured:
            clone.get(ref)
            unmeasured.get(ref)
        butler.get(ref)
    assert (metrics.n_put, metrics.n_get, other.n_get) == (1, 1, 2)
