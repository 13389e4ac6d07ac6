# SPDX-License-Identifier: BSD-3-Clause
"""A butler does what dictionaries would, whatever two sessions do in whatever order."""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from lakebutler import (
    Butler,
    CollectionType,
    ConflictingDefinitionError,
    DatasetRef,
    DatasetType,
    FileDataset,
    RepositoryError,
    Timespan,
)

CAM = "Cam"
RUNS = ("u/one", "u/two")
TAGGED = ("t1", "t2")
WORLD = (*RUNS, *TAGGED)
RUN, TAG = st.sampled_from(RUNS), st.sampled_from(TAGGED)
DETECTOR = st.integers(0, 2)
DETECTORS = st.sets(DETECTOR, min_size=1)
WHICH = st.integers(0, 1)
DAYS = st.tuples(st.integers(0, 4), st.integers(1, 3))
Span = tuple[int, int]


class Model:
    """What there should be."""

    def __init__(self) -> None:
        self.stored: dict[UUID, tuple[str, int, int]] = {}  # run, detector, level
        self.tagged: dict[str, dict[int, UUID]] = {tag: {} for tag in TAGGED}
        self.valid: set[tuple[UUID, int, int]] = set()  # from day, to day
        self.chain: tuple[str, ...] = ()

    def at(self, run: str, detector: int) -> UUID | None:
        return next((i for i, (r, d, _) in self.stored.items() if (r, d) == (run, detector)), None)

    def first(self, detector: int) -> UUID | None:
        for name in self.chain:
            found = self.tagged[name].get(detector) if name in TAGGED else self.at(name, detector)
            if found is not None:
                return found
        return None

    def overlaps(self, detector: int, days: Span) -> bool:
        return any(
            self.stored[i][1] == detector and begin < days[1] and days[0] < end
            for i, begin, end in self.valid
        )

    def forget(self, ids: set[UUID]) -> None:
        self.stored = {i: value for i, value in self.stored.items() if i not in ids}
        self.tagged = {t: {d: i for d, i in m.items() if i not in ids} for t, m in self.tagged.items()}
        self.valid = {row for row in self.valid if row[0] not in ids}

    def decertify(self, days: Span) -> None:
        left = set()
        for i, begin, end in self.valid:
            if begin < min(end, days[0]):
                left.add((i, begin, min(end, days[0])))
            if max(begin, days[1]) < end:
                left.add((i, max(begin, days[1]), end))
        self.valid = left


def day(number: int) -> Any:
    from astropy.time import Time

    return Time(f"2025-01-{number + 1:02d}T00:00:00", scale="tai")


def span(days: Span) -> Timespan:
    return Timespan(day(days[0]), day(days[1]))


_template: list[Path] = []


def template() -> Path:
    """An empty repository with an instrument, to be copied."""
    if not _template:
        root = Path(tempfile.mkdtemp(prefix="butler-model-")) / "repo"
        Butler.makeRepo(root)
        with Butler.from_config(root, run=RUNS[0]) as butler:
            butler.collections.register(RUNS[1])
            for name in TAGGED:
                butler.collections.register(name, CollectionType.TAGGED)
            butler.collections.register("calib", CollectionType.CALIBRATION)
            butler.collections.register("chain", CollectionType.CHAINED)
            butler.registry.insertDimensionData("instrument", {"name": CAM, "detector_max": 3})
            rows = ({"instrument": CAM, "id": i, "full_name": f"S{i}"} for i in range(3))
            butler.registry.insertDimensionData("detector", *rows)
            butler.registry.registerDatasetType(
                DatasetType(
                    "bias",
                    ["detector"],
                    "StructuredDataDict",
                    universe=butler.dimensions,
                    isCalibration=True,
                )
            )
        _template.append(root)
    return _template[0]


class ButlerMachine(RuleBasedStateMachine):
    """Two writeable sessions of one repository."""

    @initialize()
    def make(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="butler-model-"))
        self.root = self.folder / "repo"
        shutil.copytree(template(), self.root)
        self.butlers = [self._open(), self._open()]
        self.model = Model()
        self.tags: dict[str, Model] = {}
        self.count = 0

    def _open(self) -> Butler:
        return Butler.from_config(self.root, run=RUNS[0])

    def teardown(self) -> None:
        for butler in getattr(self, "butlers", ()):
            butler.close()
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    def _id(self, detector: int) -> dict[str, Any]:
        return {"instrument": CAM, "detector": detector}

    def _ref(self, butler: Butler, id: UUID) -> DatasetRef:
        ref = butler.registry.getDataset(id)
        assert ref is not None
        return ref

    def _refs(self, butler: Butler, ids: list[UUID]) -> list[DatasetRef]:
        return [self._ref(butler, i) for i in ids]

    @contextmanager
    def _refused_if(self, refused: bool) -> Iterator[None]:
        if not refused:
            yield
            return
        with pytest.raises(ConflictingDefinitionError):
            yield

    @rule(which=WHICH, run=RUN, detectors=DETECTORS, abort=st.booleans())
    def put(self, which: int, run: str, detectors: set[int], abort: bool) -> None:
        butler, model = self.butlers[which], copy.deepcopy(self.model)
        taken = any(model.at(run, detector) for detector in detectors)

        def fill() -> None:
            for detector in sorted(detectors):
                self.count += 1
                ref = butler.put({"level": self.count}, "bias", self._id(detector), run=run)
                assert butler.get(ref) == {"level": self.count}
                model.stored[ref.id] = (run, detector, self.count)
            if abort:
                raise KeyError("broken off")

        try:
            with self._refused_if(taken), butler.transaction():
                fill()
        except KeyError:
            assert abort
        else:
            self.model = self.model if taken else model

    @rule(which=WHICH, run=RUN, detector=DETECTOR)
    def ingest(self, which: int, run: str, detector: int) -> None:
        butler, taken = self.butlers[which], self.model.at(run, detector) is not None
        self.count += 1
        path = self.folder / f"{self.count}.json"
        path.write_text(json.dumps({"level": self.count}))
        data_id = butler.registry.expandDataId(self._id(detector))
        ref = DatasetRef(butler.registry.getDatasetType("bias"), data_id, run)
        with self._refused_if(taken):
            butler.ingest(FileDataset(str(path), [ref]), transfer="copy")
        if not taken:
            self.model.stored[ref.id] = (run, detector, self.count)

    @rule(which=WHICH, tag=TAG, run=RUN, replace=st.booleans())
    def associate(self, which: int, tag: str, run: str, replace: bool) -> None:
        model, butler = self.model, self.butlers[which]
        found = {d: i for i, (r, d, _) in model.stored.items() if r == run}
        refused = not replace and any(model.tagged[tag].get(d, i) != i for d, i in found.items())
        with self._refused_if(refused):
            butler.registry.associate(tag, self._refs(butler, list(found.values())), replace=replace)
        if not refused:
            model.tagged[tag] |= found

    @rule(which=WHICH, tag=TAG, detector=DETECTOR)
    def disassociate(self, which: int, tag: str, detector: int) -> None:
        butler, found = self.butlers[which], self.model.tagged[tag].pop(detector, None)
        butler.registry.disassociate(tag, self._refs(butler, [found] if found else []))

    @rule(which=WHICH, run=RUN, detectors=DETECTORS, days=DAYS)
    def certify(self, which: int, run: str, detectors: set[int], days: Span) -> None:
        model, butler = self.model, self.butlers[which]
        days = (days[0], days[0] + days[1])
        ids = [i for d in sorted(detectors) if (i := model.at(run, d)) is not None]
        refused = any(model.overlaps(model.stored[i][1], days) for i in ids)
        with self._refused_if(refused):
            butler.registry.certify("calib", self._refs(butler, ids), span(days))
        if not refused:
            model.valid |= {(i, *days) for i in ids}

    @rule(which=WHICH, days=DAYS)
    def decertify(self, which: int, days: Span) -> None:
        days = (days[0], days[0] + days[1])
        self.butlers[which].registry.decertify("calib", "bias", span(days))
        self.model.decertify(days)

    @rule(which=WHICH, names=st.lists(st.sampled_from(WORLD), unique=True, max_size=4))
    def redefine_chain(self, which: int, names: list[str]) -> None:
        self.butlers[which].collections.redefine_chain("chain", names)
        self.model.chain = tuple(names)

    @rule(which=WHICH, run=RUN, detectors=DETECTORS)
    def remove(self, which: int, run: str, detectors: set[int]) -> None:
        butler = self.butlers[which]
        ids = {i for d in detectors if (i := self.model.at(run, d)) is not None}
        butler.registry.removeDatasets(self._refs(butler, sorted(ids)))
        self.model.forget(ids)

    @rule(which=WHICH)
    def tag_version(self, which: int) -> None:
        name = f"v{len(self.tags)}"
        self.butlers[which].tag(name)
        self.tags[name] = copy.deepcopy(self.model)

    @precondition(lambda self: getattr(self, "tags", None))
    @rule(which=WHICH, data=st.data())
    def restore(self, which: int, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.tags)))
        self.butlers[which].restore(name)
        self.model = copy.deepcopy(self.tags[name])

    @precondition(lambda self: getattr(self, "tags", None))
    @rule(data=st.data())
    def look_at_the_past(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.tags)))
        with Butler.from_config(self.root, as_of=name) as butler:
            check(butler, self.tags[name])

    @rule(which=WHICH)
    def reopen(self, which: int) -> None:
        self.butlers[which].close()
        self.butlers[which] = self._open()

    @rule(which=WHICH)
    def compact(self, which: int) -> None:
        lake = self.butlers[which].repository.lake
        lake.compact(everything=True)
        lake.checkpoint()

    @invariant()
    def both_see_the_same(self) -> None:
        for butler in getattr(self, "butlers", ()):
            check(butler, self.model)


def check(butler: Butler, model: Model) -> None:
    """Compare what there is with what there should be."""
    found = {}
    for ref in butler.query_datasets("bias", RUNS, find_first=False, explain=False):
        found[ref.id] = (ref.run, ref.dataId["detector"])
    assert found == {i: (run, detector) for i, (run, detector, _) in model.stored.items()}
    for tag in TAGGED:
        members = butler.query_datasets("bias", tag, explain=False)
        assert {ref.dataId["detector"]: ref.id for ref in members} == model.tagged[tag]
    assert butler.collections.get_info("chain").children == model.chain
    for detector in range(3):
        first = butler.find_dataset("bias", instrument=CAM, detector=detector, collections="chain")
        assert (first.id if first else None) == model.first(detector)
    for number in range(0, 8, 3):
        for detector in (0, 2):
            wanted = [i for i, b, e in model.valid if b <= number < e and model.stored[i][1] == detector]
            got = butler.find_dataset(
                "bias",
                instrument=CAM,
                detector=detector,
                collections="calib",
                timespan=span((number, number + 1)),
            )
            assert [got.id] if got else not wanted, (number, detector)
            assert not got or [got.id] == wanted
    if model.stored:
        some, (_, _, level) = next(iter(model.stored.items()))
        ref = butler.registry.getDataset(some)
        assert ref is not None
        assert butler.get(ref) == {"level": level}


TestButlerModel = ButlerMachine.TestCase
TestButlerModel.settings = settings(max_examples=6, stateful_step_count=10, deadline=None)


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_butler_model_at_length() -> None:
    run_machine(ButlerMachine, settings=settings(max_examples=100, stateful_step_count=30, deadline=None))


# ----------------------------------------------------------------------- planted faults


def plant_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removing datasets leaves them in the collections they were tagged in."""
    from lakebutler.butler.registry_api import ButlerRegistry

    monkeypatch.setattr(ButlerRegistry, "removeDatasets", lambda self, refs: None)


def plant_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains are searched from behind."""
    from lakebutler.collections import chain

    before = chain.flatten
    monkeypatch.setattr(
        chain, "flatten", lambda names, lookup, **kw: list(reversed(before(names, lookup, **kw)))
    )


def plant_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session does not look for what others committed."""
    from lakebutler.lake.lake import Lake

    monkeypatch.setattr(Lake, "refresh", lambda self, lost_to=None: None)


def a_script(machine: ButlerMachine) -> None:
    """Steps that everything wrong shows in."""
    machine.make()
    machine.put(0, RUNS[0], {0, 1}, abort=False)
    machine.both_see_the_same()
    machine.put(1, RUNS[1], {0}, abort=False)
    machine.redefine_chain(0, [RUNS[1], RUNS[0]])
    machine.associate(1, TAGGED[0], RUNS[0], replace=True)
    machine.both_see_the_same()
    machine.remove(0, RUNS[0], {0})
    machine.both_see_the_same()


def test_the_script_holds() -> None:
    machine = ButlerMachine()
    a_script(machine)
    machine.teardown()


@pytest.mark.parametrize("plant", [plant_tags, plant_chain, plant_stale])
def test_the_harness_fails_on_a_planted_fault(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    template()
    plant(monkeypatch)
    machine = ButlerMachine()
    with pytest.raises((AssertionError, ConflictingDefinitionError, RepositoryError)):
        a_script(machine)
    machine.teardown()
