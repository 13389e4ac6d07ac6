# SPDX-License-Identifier: BSD-3-Clause
"""A plan becomes content of a repository: files are brought in, then one commit.

IDs follow from run, type and data ID, so that what was converted before is recognised.
Files that an interrupted conversion has copied already are found by their names, compared,
and used; what is committed is all or nothing.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lakebutler.butler.exchange.import_bundle import (
    Bundle,
    Collection,
    dataset_table,
    member_table,
    merge_plain,
)
from lakebutler.butler.exchange.import_files import Target, commit_batch, make_refs
from lakebutler.butler.exchange.import_merge import find_present, merge
from lakebutler.butler.exchange.import_migrate import to_records
from lakebutler.butler.pending import Batch
from lakebutler.collections.collection import CollectionType
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datasets.file_dataset import FileDataset
from lakebutler.datastore.paths import file_uri
from lakebutler.datastore.records import FileRecord
from lakebutler.errors import StorageError
from lakebutler.gen2.parts import Part, Plan
from lakebutler.gen2.report import Report
from lakebutler.gen2.resume import Leftovers
from lakebutler.ids import pack_dataset_ids, run_timestamp
from lakebutler.instruments.skymaps.register import register_skymap
from lakebutler.instruments.visits.changes import VisitChanges
from lakebutler.instruments.visits.report import VisitStatus
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot
from lakebutler.progress import Progress
from lakebutler.registry.dataset_rows import FileRow
from lakebutler.registry.schema import DatasetLayout, dataset_layout
from lakebutler.registry.session import Build

if TYPE_CHECKING:
    import pyarrow as pa

    from lakebutler.butler.butler import Butler

__all__ = ["REPORT_TYPE", "SUMMARY_TYPE", "Written", "write_plan"]

REPORT_TYPE = "gen2_conversion_report"
"""Dataset type of the table of all files."""

SUMMARY_TYPE = "gen2_conversion_summary"
"""Dataset type of the rest of the report."""

_REPORT_RUN = "gen2/reports"
_PLAIN = r"^[A-Za-z0-9/._+,=@~!$&'()*;:-]*$"
_OP = "convert-gen2"
_ID_BYTES = 16
_NEEDS_TRUST = "Pickle"


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes
    ----------
    datasets : `int`
        New datasets.
    present : `int`
        Those that were there already.
    resumed : `int`
        Files that an earlier, interrupted conversion had brought in.
    report_run : `str` or `None`
        Run with the report; `None` if nothing was to be done.
    visits_differ : `int`
        Visits that are registered otherwise, and stay so.
    """

    datasets: int
    present: int
    resumed: int = 0
    report_run: str | None = None
    visits_differ: int = 0


@dataclass
class _Rows:
    """Datasets of one part, as rows of their table."""

    part: Part
    layout: DatasetLayout
    table: pa.Table


@dataclass
class _Brought:
    """Files that were brought in."""

    written: list[str] = field(default_factory=list)
    refs: list[DatasetRef] = field(default_factory=list)
    files: list[FileRow] = field(default_factory=list)
    resumed: int = 0


def write_plan(butler: Butler, plan: Plan, transfer: str, progress: Progress) -> Written:
    """Write what was planned: all of it in one commit, or nothing.

    Parameters
    ----------
    butler : `Butler`
        The new repository.
    plan : `Plan`
        What is to be written.
    transfer : `str`
        What happens to the files.
    progress : `Progress`
        Told of files.

    Returns
    -------
    written : `Written`
        What was new.
    """
    return _Writer(butler, plan, transfer, progress).run()


class _Writer:
    """Writes one plan."""

    def __init__(self, butler: Butler, plan: Plan, transfer: str, progress: Progress) -> None:
        self.butler = butler
        self.repository = butler.repository
        self.registry = butler._registry
        self.plan = plan
        self.transfer = transfer
        self.progress = progress
        self.when = datetime.datetime.now(datetime.UTC)
        self.bundle = Bundle()
        self.brought = _Brought()

    def run(self) -> Written:
        """Write it."""
        session = self.repository.session
        session.require_writeable(_OP)
        self._plain()
        rows = self._rows()
        total = sum(one.table.num_rows for one in rows)
        visits = self.plan.visits
        changes = visits.changes(self.registry.universe) if visits and visits.definitions else None
        with session.held() as snapshot:
            new = self._bring(snapshot, rows)
            if not new and not self.plan.skymaps and self._build(changes)(snapshot) is None:
                return Written(0, total, visits_differ=_differing(changes))
        run = self._report(self.plan.report)
        self._commit(self._build(changes))
        return Written(new, total - new, self.brought.resumed, run, _differing(changes))

    def _commit(self, build: Build) -> None:
        """Commit all of it at once, skymaps too."""
        target = Target(self.repository, self.registry, self.butler._pending)
        batch = Batch(self.brought.refs, self.brought.files, self.brought.written)
        message = f"converted from {self.plan.report.source}"
        if not self.plan.skymaps:
            commit_batch(target, build, batch, _OP, message)
            return
        with self.butler.transaction(message=message):
            for name, definition in self.plan.skymaps.items():
                register_skymap(self.butler, name, definition, progress=self.progress)
            commit_batch(target, build, batch, _OP, message)

    def _build(self, changes: VisitChanges | None) -> Build:
        """Add records, then visits, then what is of visits."""
        records, universe = self.registry.records, self.registry.universe
        if changes is None:
            return merge(self.bundle, records, universe)
        rest = replace(self.bundle, records={})
        steps = (
            merge_plain(self.bundle, records, universe),
            changes.build,
            merge(rest, records, universe),
        )

        def build(snapshot: Snapshot) -> Change | None:
            whole, working = Change(), snapshot
            for step in steps:
                change = step(working)
                if change is not None:
                    whole.extend(change)
                    working = snapshot.apply(whole)
            return whole or None

        return build

    # ---------------------------------------------------------------------- rows

    def _plain(self) -> None:
        """Records, types and collections."""
        universe, bundle, plan = self.registry.universe, self.bundle, self.plan
        for element, values in plan.records.items():
            if values:
                records = to_records([dict(v) for v in values], element, universe, plan.report.source)
                bundle.add_records(universe[element], records)
        for part in plan.parts:
            if part.table.num_rows:
                bundle.types[part.name] = _type_of(part, universe)
                for run in part.table.column("run").unique().to_pylist():
                    bundle.collections[run] = Collection(CollectionType.RUN)
                if part.certified.positions:
                    bundle.collections[plan.calibrations] = Collection(CollectionType.CALIBRATION)
        for chain, children in plan.chains.items():
            bundle.collections[chain] = Collection(CollectionType.CHAINED, None, children)

    def _rows(self) -> list[_Rows]:
        found: list[_Rows] = []
        for part in self.plan.parts:
            if not part.table.num_rows:
                continue
            dataset_type = self.bundle.types[part.name]
            layout = dataset_layout(dataset_type.dimensions)
            runs = part.table.column("run").combine_chunks()
            keys = {name: part.table.column(name).combine_chunks() for name in layout.dimensions}
            ids = _ids(part.name, runs, layout.dimensions, keys)
            _, table = dataset_table(dataset_type, runs, ids, keys, self.when)
            found.append(_Rows(part, layout, table))
        return found

    # --------------------------------------------------------------------- files

    def _bring(self, snapshot: Snapshot, rows: Sequence[_Rows]) -> int:
        """Give all rows that are new their files; the others only say that they are there."""
        import numpy as np
        import pyarrow as pa

        new = 0
        outside: set[str] = set()
        self.progress.start("files", sum(one.table.num_rows for one in rows))
        leftovers = Leftovers(self.repository.root, self.transfer)
        for one in rows:
            stored = find_present(snapshot, one.layout, one.table).stored
            fresh = np.flatnonzero(~stored)
            new += len(fresh)
            table = one.table
            if len(fresh):
                whole = len(fresh) == table.num_rows
                part = one.part.table if whole else one.part.table.take(pa.array(fresh))
                some = table if whole else table.take(pa.array(fresh))
                if self.transfer == "direct":
                    outside.add(one.part.root)
                    filled = _direct(one.part, part, some)
                else:
                    filled = self._ingest(one, part, some, leftovers)
                if whole:
                    table = filled
                else:
                    order = np.argsort(np.concatenate([np.flatnonzero(stored), fresh]))
                    table = pa.concat_tables([table.filter(pa.array(stored)), filled]).take(pa.array(order))
            self.bundle.add_table("datasets", one.layout, table)
            self._members(one, table)
            self.progress.advance(table.num_rows)
        self.progress.finish()
        if self.transfer in ("symlink", "relsymlink", "link"):
            outside |= {os.path.realpath(one.part.root) for one in rows}
        if outside:
            self.repository.trust.allow(outside)
            self.repository.datastore.allow_external(outside)
        return new

    def _members(self, one: _Rows, table: pa.Table) -> None:
        certified = one.part.certified
        if not certified.positions:
            return
        self.bundle.add_table(
            "members",
            one.layout,
            member_table(
                table, certified.positions, self.plan.calibrations, certified.begins, certified.ends
            ),
        )

    def _ingest(self, one: _Rows, part: pa.Table, table: pa.Table, leftovers: Leftovers) -> pa.Table:
        datastore = self.repository.datastore
        refs = named = make_refs(one.layout, table, None, dict(self.bundle.types))
        if one.part.storage_class == _NEEDS_TRUST:  # not for a name
            plain = _type_of(replace(one.part, storage_class="Bytes"), self.registry.universe)
            named = make_refs(one.layout, table, None, {plain.name: plain})
        by_path: dict[str, list[int]] = {}
        for i, path in enumerate(part.column("path").to_pylist()):
            by_path.setdefault(path, []).append(i)
        records: list[FileRecord | None] = [None] * len(refs)
        todo: list[tuple[FileDataset, list[int]]] = []
        for path, places in by_path.items():
            source = f"{one.part.root}/{path}"
            found = leftovers.find(datastore.predict(named[places[0]]), source)
            if found is not None:
                record = FileRecord(found.path, None, one.part.formatter, one.part.storage_class, *found[1:])
                self.brought.resumed += 1
                self._keep(records, record, places)
            else:
                todo.append((FileDataset(source, [refs[i] for i in places], one.part.formatter), places))
        done = datastore.ingest([dataset for dataset, _ in todo], self.transfer)
        self.brought.written += done.written
        for (_, places), record in zip(todo, done.records, strict=True):
            self._keep(records, record, places)
        rows = [FileRow._make(record) for record in records if record is not None]
        self.brought.refs += refs[:1]
        self.brought.files += rows[:1]
        return _with_units(part, _with_rows(table, rows))

    @staticmethod
    def _keep(records: list[FileRecord | None], record: FileRecord, places: Sequence[int]) -> None:
        for i in places:
            records[i] = record

    # -------------------------------------------------------------------- report

    def _report(self, report: Report) -> str:
        """Put the report into the repository, as two datasets of the same commit."""
        import pyarrow as pa

        universe = self.registry.universe
        run = f"{_REPORT_RUN}/{run_timestamp(self.when)}"
        self.bundle.collections[run] = Collection(CollectionType.RUN)
        summary = {k: v for k, v in report.to_json().items() if k != "not_converted"}
        for name, storage_class, content in (
            (REPORT_TYPE, "ArrowTable", report.files()),
            (SUMMARY_TYPE, "StructuredDataDict", summary),
        ):
            kind = DatasetType(name, (), storage_class, universe=universe)
            self.bundle.types[name] = kind
            layout, table = dataset_table(
                kind,
                run,
                _ids(name, pa.array([run]), (), {}),
                {},
                self.when,
            )
            ref = make_refs(layout, table, None, {name: kind})[0]
            record = self.repository.datastore.put(content, ref)
            self.brought.written.append(record.path or "")
            self.brought.refs.append(ref)
            self.brought.files.append(FileRow._make(record))
            self.bundle.add_table("datasets", layout, _with_rows(table, [FileRow._make(record)]))
        return run


def _differing(changes: VisitChanges | None) -> int:
    return sum(r.status is VisitStatus.CONFLICT for r in changes.reports) if changes else 0


def _type_of(part: Part, universe: Any) -> DatasetType:
    return DatasetType(
        part.name, part.dimensions, part.storage_class, universe=universe, isCalibration=part.is_calibration
    )


def _ids(name: str, runs: pa.Array, dimensions: Sequence[str], keys: Mapping[str, pa.Array]) -> pa.Array:
    """IDs that follow from run, type and data ID, as 16 bytes each."""
    import numpy as np
    import pyarrow as pa

    n = len(runs)
    columns = [keys[d].to_pylist() for d in dimensions]
    values = list(zip(*columns, strict=True)) if columns else [()] * n
    encoded = runs.dictionary_encode()
    which = encoded.indices.to_numpy()
    ids = np.empty((n, _ID_BYTES), np.uint8)
    for k, run in enumerate(encoded.dictionary.to_pylist()):
        places = np.flatnonzero(which == k)
        some = values if len(places) == n else [values[i] for i in places.tolist()]
        packed = pack_dataset_ids(run, name, dimensions, some)
        ids[places] = np.frombuffer(packed, np.uint8).reshape(-1, _ID_BYTES)
    return pa.Array.from_buffers(pa.binary(_ID_BYTES), n, [None, pa.py_buffer(ids)])


def _direct(part: Part, rows: pa.Table, table: pa.Table) -> pa.Table:
    """Note where files are, and how long."""
    import pyarrow as pa
    import pyarrow.compute as pc

    paths = rows.column("path").combine_chunks()
    plain = pc.match_substring_regex(paths, _PLAIN)
    prefix = file_uri(part.root) + "/"
    if pc.all(plain).as_py() is not False:
        uris = pc.binary_join_element_wise(pa.repeat(prefix, len(paths)), paths, "")
    else:
        uris = pa.array([file_uri(f"{part.root}/{path}") for path in paths.to_pylist()], pa.string())
    columns = {
        "uri": uris,
        "formatter": pa.repeat(part.formatter, len(paths)),
        "storage_class": pa.repeat(part.storage_class, len(paths)),
        "size": pa.array(_sizes(part.root, paths.to_pylist()), pa.int64()),
    }
    return _with_units(rows, _with_columns(table, columns))


def _sizes(root: str, paths: Sequence[str]) -> list[int]:
    stat, prefix = os.stat, f"{root}/"
    try:
        return [stat(prefix + path).st_size for path in paths]
    except OSError as error:
        raise StorageError(
            f"{error.filename} was there a moment ago: {error.strerror}",
            hint="nothing was written; repeat the conversion when nobody changes the source",
        ) from None


def _with_rows(table: pa.Table, rows: Sequence[FileRow]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return _with_columns(table, dict(zip(FileRow._fields, columns, strict=True)))


def _with_units(rows: pa.Table, table: pa.Table) -> pa.Table:
    """Say in which unit of its file each dataset is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "unit" not in rows.column_names:
        return table
    units = rows.column("unit").combine_chunks().cast(pa.string())
    keys = table.column("formatter").combine_chunks()
    return _with_columns(table, {"formatter": pc.binary_join_element_wise(keys, units, "?hdu=")})


def _with_columns(table: pa.Table, columns: Mapping[str, Any]) -> pa.Table:
    import pyarrow as pa

    for name, values in columns.items():
        kind = table.schema.field(name)
        column = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, kind.type)
        table = table.set_column(table.schema.get_field_index(name), kind, column)
    return table
