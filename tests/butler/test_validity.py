# SPDX-License-Identifier: BSD-3-Clause
"""Certify and decertify against a model: sets of instants for each data ID."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakebutler import (
    Butler,
    CalibrationLookupError,
    CollectionType,
    ConflictingDefinitionError,
    DatasetRef,
    Timespan,
)
from tests.butler.world import CAM, Place

DAY = 86_400_000_000_000
LAST = 8
spans = st.tuples(st.integers(0, LAST), st.integers(1, LAST)).map(
    lambda p: (p[0], min(p[0] + p[1], LAST + 1))
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["certify", "decertify", "decertify some"]),
        spans,
        st.integers(0, 1),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=7,
)


class World:
    def __init__(self, place: Place) -> None:
        self.place = place
        self.butler = place.open(writeable=True)
        self.refs: list[list[DatasetRef]] = []
        for run in ("u/a", "u/b"):
            self.butler.collections.register(run)
            ids = [{"instrument": CAM, "detector": d} for d in range(2)]
            self.refs.append(self.butler.registry.insertDatasets("bias", ids, run=run))
        self.count = 0


@pytest.fixture(scope="module")
def world(observatory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    place = Place(str(tmp_path_factory.mktemp("validity") / "repo"))
    shutil.copytree(observatory, place.url)
    world = World(place)
    yield world
    world.butler.close()


def timespan(span: tuple[int, int]) -> Timespan:
    return Timespan(None, None, _nsec=(span[0] * DAY, span[1] * DAY))


def found(butler: Butler, calib: str) -> dict[tuple[int, int], set[str]]:
    """Runs of the datasets that are valid, by detector and day."""
    result: dict[tuple[int, int], set[str]] = {}
    for one in butler.registry.queryDatasetAssociations("bias", calib):
        assert one.timespan is not None
        begin, end = one.timespan.nsec
        assert begin < end
        for day in range(begin // DAY, end // DAY):
            result.setdefault((int(one.ref.dataId["detector"]), day), set()).add(one.ref.run)
    return result


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_validity_is_a_function_of_time(
    world: World, steps: list[tuple[str, tuple[int, int], int, int]]
) -> None:
    world.count += 1
    butler, calib = world.butler, f"calib/{world.count}"
    butler.collections.register(calib, CollectionType.CALIBRATION)
    model: dict[tuple[int, int], set[str]] = {}
    for verb, span, run, which in steps:
        detectors = [d for d in range(2) if which & (1 << d)]
        keys = [(d, day) for d in detectors for day in range(*span)]
        if verb == "certify":
            refs = [world.refs[run][d] for d in detectors]
            if any(key in model for key in keys):
                version = butler.version
                with pytest.raises(ConflictingDefinitionError):
                    butler.registry.certify(calib, refs, timespan(span))
                assert butler.version == version
            else:
                butler.registry.certify(calib, refs, timespan(span))
                model |= {key: {refs[0].run} for key in keys}
            continue
        chosen = [world.refs[0][d].dataId for d in detectors] if verb == "decertify some" else None
        butler.registry.decertify(calib, "bias", timespan(span), dataIds=chosen)
        for day in range(*span):
            for d in range(2) if chosen is None else detectors:
                model.pop((d, day), None)
    assert found(butler, calib) == model
    for day in range(LAST + 1):
        ref = butler.find_dataset(
            "bias", instrument=CAM, detector=0, collections=calib, timespan=timespan((day, day + 1))
        )
        assert (None if ref is None else {ref.run}) == model.get((0, day))
    runs = {run for (d, _), run_set in model.items() if d == 0 for run in run_set}
    ask = {"instrument": CAM, "detector": 0, "collections": calib}
    if len(runs) > 1:
        with pytest.raises(CalibrationLookupError):
            butler.find_dataset("bias", **ask)
    else:
        ref = butler.find_dataset("bias", **ask)
        assert (set() if ref is None else {ref.run}) == runs


def test_many_are_certified_at_once_and_an_overlap_of_one_is_found(world: World) -> None:
    butler = world.butler
    first = 8 * 4**7
    kind = butler.get_dataset_type("bias")
    many = type(kind)("many", ["htm7"], "StructuredDataDict", universe=butler.dimensions, isCalibration=True)
    butler.registry.registerDatasetType(many)
    refs = butler.registry.insertDatasets(many, [{"htm7": first + i} for i in range(500)], run="u/a")
    calib = "calib/many"
    butler.collections.register(calib, CollectionType.CALIBRATION)
    butler.registry.certify(calib, refs[:300], timespan((0, 4)))
    butler.registry.certify(calib, refs, timespan((4, 8)))
    butler.registry.certify(calib, refs[300:], timespan((0, 4)))
    version = butler.version
    for wrong in (refs, refs[:1], refs[299:]):
        with pytest.raises(ConflictingDefinitionError):
            butler.registry.certify(calib, wrong, timespan((3, 5)))
    assert butler.version == version
    butler.registry.decertify(calib, "many", timespan((2, 6)), dataIds=[ref.dataId for ref in refs[:250]])
    spans = sorted(
        one.timespan.nsec
        for one in butler.registry.queryDatasetAssociations("many", calib)
        if one.timespan is not None and one.ref == refs[0]
    )
    assert spans == [(0, 2 * DAY), (6 * DAY, 8 * DAY)]
    butler.registry.certify(calib, refs[:250], timespan((2, 6)))
    with pytest.raises(ConflictingDefinitionError):
        butler.registry.certify(calib, refs[249:251], timespan((3, 4)))
