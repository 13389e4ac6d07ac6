# SPDX-License-Identifier: BSD-3-Clause
"""No operation loops with one query or one commit for each dataset: counted at several sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lakebutler import (
    Butler,
    CollectionType,
    DataCoordinate,
    DatasetRef,
    DatasetType,
    FileDataset,
    Timespan,
)
from lakebutler.lake import engine, follower, views
from lakebutler.lake.storage.local import LocalStorage

FEW = (10, 200)
"""Sizes between which some look-ups change from keys to queries, and rows from the log to files."""

MOST = 12
"""Queries and requests that may come with that; one for each dataset would be 190."""

MANY = (1500, 1900)
"""Sizes at which they are looked up with queries, and rows are in files."""

CALLS = ("read", "create", "write", "list", "delete", "fetch")


@dataclass(frozen=True)
class Cost:
    """What an operation did: new versions, queries, and requests of the registry's storage."""

    commits: int
    queries: int
    requests: int


class Meter:
    """Counts what operations do, by name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.costs: dict[str, Cost] = {}
        self._queries = self._requests = 0
        for name in CALLS:
            monkeypatch.setattr(LocalStorage, name, self._counted(getattr(LocalStorage, name), "_requests"))
        monkeypatch.setattr(engine, "_cursor", self._counted(engine._cursor, "_queries"))
        # What goes by the clock would be a request more or less: is the log vacuumed, is views.sql old?
        monkeypatch.setattr(follower, "_FENCE_SECONDS", math.inf)
        monkeypatch.setattr(views, "_COST_SHARE", 0)

    def _counted(self, method: Callable[..., Any], what: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            setattr(self, what, getattr(self, what) + 1)
            return method(*args, **kwargs)

        return call

    @contextmanager
    def of(self, butler: Butler, name: str) -> Iterator[None]:
        before = butler.version
        self._queries = self._requests = 0
        yield
        queries, requests = self._queries, self._requests
        self.costs[name] = Cost(butler.version - before, queries, requests)


def make(root: Path, n: int, meter: Meter) -> tuple[Butler, DatasetType, list[DataCoordinate]]:
    Butler.makeRepo(root)
    butler = Butler.from_config(root, run="run/a", writeable=True)
    registry = butler.registry
    registry.insertDimensionData("instrument", {"name": "Cam"})
    rows = [{"instrument": "Cam", "id": i, "full_name": f"D{i}"} for i in range(n)]
    with meter.of(butler, "insertDimensionData"):
        registry.insertDimensionData("detector", *rows)
    with meter.of(butler, "insertDimensionData again"):
        registry.insertDimensionData("detector", *rows, skip_existing=True)
    kind = DatasetType(
        "cal", ["detector"], "StructuredDataDict", universe=butler.dimensions, isCalibration=True
    )
    registry.registerDatasetType(kind)
    ids = [
        DataCoordinate.standardize(instrument="Cam", detector=i, universe=butler.dimensions) for i in range(n)
    ]
    return butler, kind, ids


def write_files(folder: Path, n: int) -> list[str]:
    folder.mkdir()
    for i in range(n):
        (folder / f"{i}.json").write_text(f'{{"i": {i}}}')
    return [str(folder / f"{i}.json") for i in range(n)]


def memberships(butler: Butler, kind: DatasetType, ids: list[DataCoordinate], meter: Meter) -> None:
    registry = butler.registry
    with meter.of(butler, "insertDatasets"):
        refs = registry.insertDatasets(kind, ids, run="run/a")
    butler.collections.register("tag", CollectionType.TAGGED)
    butler.collections.register("calib", CollectionType.CALIBRATION)
    with meter.of(butler, "associate"):
        registry.associate("tag", refs)
    with meter.of(butler, "associate again"):
        registry.associate("tag", refs)
    with meter.of(butler, "disassociate"):
        registry.disassociate("tag", refs)
    with meter.of(butler, "certify"):
        registry.certify("calib", refs, Timespan(None, None, _nsec=(0, 100)))
    with meter.of(butler, "certify later"):
        registry.certify("calib", refs, Timespan(None, None, _nsec=(100, 200)))
    with meter.of(butler, "decertify"):
        registry.decertify("calib", kind, Timespan(None, None, _nsec=(50, 150)))
    with meter.of(butler, "decertify some"):
        registry.decertify("calib", kind, Timespan(None, None, _nsec=(0, 20)), dataIds=ids)
    with meter.of(butler, "removeDatasets"):
        registry.removeDatasets(refs)


def files(
    butler: Butler, kind: DatasetType, ids: list[DataCoordinate], meter: Meter, work: Path
) -> list[DatasetRef]:
    paths = write_files(work / "files", len(ids))
    refs = [DatasetRef(kind, one, run="run/a") for one in ids]
    given = [FileDataset(path, ref) for path, ref in zip(paths, refs, strict=True)]
    with meter.of(butler, "ingest"):
        butler.ingest(*given, transfer="copy")
    with meter.of(butler, "ingest again"):
        butler.ingest(*given, transfer="copy", skip_existing=True)
    with meter.of(butler, "get_many_datasets"):
        assert len(butler.get_many_datasets([ref.id for ref in refs])) == len(refs)
    with meter.of(butler, "get_many_uris"):
        assert len(butler.get_many_uris(refs)) == len(refs)
    with meter.of(butler, "stored_many"):
        assert all(butler.stored_many(refs).values())
    with meter.of(butler, "query_datasets"):
        butler.query_datasets(kind, "run/a", with_dimension_records=True, limit=None)
    with meter.of(butler, "query_all_datasets"):
        assert len(butler.query_all_datasets("run/a")) == len(refs)
    with meter.of(butler, "queryDatasetAssociations"):
        assert len(list(butler.registry.queryDatasetAssociations(kind, "run/a"))) == len(refs)
    with meter.of(butler, "retrieveArtifacts"):
        butler.retrieveArtifacts(refs, work / "artifacts", transfer="copy")
    return refs


def exchange(butler: Butler, refs: list[DatasetRef], meter: Meter, work: Path) -> None:
    butler.collections.register("exported", CollectionType.TAGGED)
    butler.registry.associate("exported", refs)
    for form in ("yaml", "parquet") if len(refs) <= max(FEW) else ("parquet",):
        with (
            meter.of(butler, f"export {form}"),
            butler.export(directory=work / form, format=form, transfer="copy") as out,
        ):
            out.saveDatasets(refs)
            out.saveCollection("exported")
        Butler.makeRepo(work / f"from-{form}")
        with Butler.from_config(work / f"from-{form}", writeable=True) as target:
            with meter.of(target, f"import {form}"):
                target.import_(directory=work / form, format=form, transfer="copy")
            with meter.of(target, f"import {form} again"):
                target.import_(directory=work / form, format=form, transfer="copy")
    with meter.of(butler, "zip"):
        made = butler.retrieve_artifacts_zip(refs, work / "zips")
    Butler.makeRepo(work / "from-zip")
    with Butler.from_config(work / "from-zip", writeable=True) as target:
        target.registry.registerDatasetType(refs[0].datasetType)
        with meter.of(target, "ingest_zip"):
            target.ingest_zip(made, transfer_dimensions=True)
    Butler.makeRepo(work / "second")
    with Butler.from_config(work / "second", writeable=True) as target:
        with meter.of(target, "transfer_dimension_records_from"):
            target.transfer_dimension_records_from(butler, refs)
        with meter.of(target, "transfer_from"):
            target.transfer_from(butler, refs, register_dataset_types=True)
        with meter.of(target, "transfer_from again"):
            assert target.transfer_from(butler, refs) == []
        with meter.of(target, "unstore"):
            target.pruneDatasets(refs, disassociate=False, unstore=True)
        with meter.of(target, "purge"):
            target.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
        with meter.of(target, "transfer_from anew"):
            target.transfer_from(butler, refs)
        with meter.of(target, "removeRuns"):
            target.removeRuns(["run/a"])


def costs(work: Path, n: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Cost]:
    work.mkdir()
    with monkeypatch.context() as patch:
        meter = Meter(patch)
        butler, kind, ids = make(work / "repo", n, meter)
        with butler:
            memberships(butler, kind, ids, meter)
            refs = files(butler, kind, ids, meter, work)
            exchange(butler, refs, meter, work)
    return meter.costs


def test_the_cost_of_an_operation_does_not_depend_on_how_many_datasets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (costs(tmp_path / str(n), n, monkeypatch) for n in MANY)
    assert len(first) > 30
    assert first == second


def test_a_few_datasets_cost_no_more_commits_and_hardly_more_requests_than_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (costs(tmp_path / str(n), n, monkeypatch) for n in FEW)
    for name, cost in first.items():
        more = second[name]
        assert more.commits == cost.commits <= 1, name
        assert more.queries <= cost.queries + MOST, (name, cost, more)
        assert more.requests <= cost.requests + MOST, (name, cost, more)


def test_many_runs_and_chains_take_one_commit_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for n in (3, 60):
        with monkeypatch.context() as patch:
            meter = Meter(patch)
            Butler.makeRepo(tmp_path / str(n))
            with Butler.from_config(tmp_path / str(n), writeable=True) as butler:
                names = [f"run/{i}" for i in range(n)]
                with butler.transaction():
                    for name in names:
                        butler.collections.register(name)
                butler.collections.register("chain", CollectionType.CHAINED)
                with meter.of(butler, "redefine_chain"):
                    butler.collections.redefine_chain("chain", names)
                with meter.of(butler, "query_info"):
                    butler.collections.query_info("*", include_parents=True, include_summary=True)
                with meter.of(butler, "remove_from_chain"):
                    butler.collections.remove_from_chain("chain", names)
                with meter.of(butler, "removeRuns"):
                    butler.removeRuns(names)
            found.append(meter.costs)
    assert found[0] == found[1]
