# SPDX-License-Identifier: BSD-3-Clause
"""Compaction: many small files, and rows in the log, become few files; no row changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakebutler.errors import RepositoryCorruptError
from lakebutler.lake.change import Change
from lakebutler.lake.entry import AddFile, DataFile, Fold, RemoveFile
from lakebutler.lake.segment import FileSegment
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.sorting import sort_table
from lakebutler.lake.table import Slot, TableLayer
from lakebutler.lake.writer import OWN_FILE_ROWS, FileWriter

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MOST_DELETES", "MOST_FILES", "MOST_ROWS", "Compaction", "needs_compaction"]

MOST_ROWS = 4000
MOST_FILES = 100
MOST_DELETES = 10_000


def needs_compaction(layer: TableLayer, version: int) -> bool:
    """Whether a table has so many small parts that reading it suffers."""
    if (
        layer.live_rows > MOST_ROWS
        or layer.tombstones.count > MOST_DELETES
        or len(layer.deletes) > MOST_FILES
    ):
        return True
    return len(layer.slots) > MOST_FILES and len(_small(layer.live_slots(version))) > MOST_FILES


def _small(slots: list[Slot]) -> list[Slot]:
    """Return the segments that share their file with other scopes, or might."""
    return [slot for slot in slots if slot.segment.rows < OWN_FILE_ROWS or len(slot.segment.scopes) > 1]


def _tier(small: list[Slot], rows: int) -> list[Slot]:
    """Choose the smallest files, each at most twice as large as all that goes before it."""
    least = len(small) - MOST_FILES // 2 if len(small) > MOST_FILES else 0
    chosen: list[Slot] = []
    for slot in sorted(small, key=lambda slot: slot.segment.rows):
        if len(chosen) >= least and slot.segment.rows > 2 * rows:
            break
        chosen.append(slot)
        rows += slot.segment.rows
    return chosen


class Compaction:
    """Rewrites a table; its `build` is what `Lake.commit` calls.

    Parameters
    ----------
    table : `str`
        Name of the table.
    writer : `FileWriter`
        What to write files with.
    everything : `bool`, optional
        Rewrite every file that deletes may have hit, not only the small ones.
    tiered : `bool`, optional
        Leave files alone that are large beside what is to be added to them: then a row is
        rewritten a number of times that grows as the logarithm of the rows there are.
    """

    def __init__(
        self, table: str, writer: FileWriter, *, everything: bool = False, tiered: bool = False
    ) -> None:
        self.table = table
        self.writer = writer
        self.everything = everything
        self.tiered = tiered
        self.kept: list[str] = []

    def build(self, snapshot: Snapshot) -> Change | None:
        """Write the new files; return what replaces the old ones, or `None` for nothing."""
        self.writer.discard()
        view = snapshot.view(self.table)
        layer, version = view.layers[0]
        chosen = self._choose(layer, version)
        rows = layer.store.live
        if not rows and len(chosen) < 2 and not (self.everything and chosen):
            return None
        data = self._data(snapshot, chosen)
        files = list(self.writer.write_rows(view.schema, data, version))
        self._verify(snapshot, data, files)
        self.kept = [file.path for file in files]
        change = Change()
        change.internal.append(Fold(self.table, version))
        for slot in chosen:
            assert isinstance(slot.segment, FileSegment)
            change.internal.append(RemoveFile(self.table, slot.segment.file.path))
        change.internal.extend(AddFile(self.table, file) for file in files)
        return change

    def _choose(self, layer: TableLayer, version: int) -> list[Slot]:
        live = [slot for slot in layer.live_slots(version) if slot.segment.rows]
        small = _small(live)
        chosen = {id(slot) for slot in (_tier(small, layer.store.live) if self.tiered else small)}
        if self.everything or layer.tombstones.count > MOST_DELETES or len(layer.deletes) > MOST_FILES:
            latest = max([layer.tombstones.latest, *(slot.begin for slot in layer.deletes)])
            chosen |= {id(slot) for slot in live if slot.version < latest}
        return [slot for slot in live if id(slot) in chosen]

    def _data(self, snapshot: Snapshot, chosen: list[Slot]) -> pa.Table:
        from lakebutler.lake.engine import run
        from lakebutler.lake.relation import relation, shape

        source = relation(snapshot, self.table, slots=chosen)
        return shape(run(snapshot, source.sql, source.tables), snapshot.schemas()[self.table].arrow)

    def _verify(self, snapshot: Snapshot, data: pa.Table, files: list[DataFile]) -> None:
        """Make sure that what was written is what was read, row by row."""
        import pyarrow as pa

        from lakebutler.lake.relation import shape

        schema = snapshot.schemas()[self.table]
        parts = [FileSegment(snapshot.segments, schema, file).read(None, schema.names) for file in files]
        written = pa.concat_tables([shape(part, schema.arrow) for part in parts]) if parts else data
        wanted = sort_table(schema, data).table
        if not sort_table(schema, written).table.equals(wanted):
            raise RepositoryCorruptError(
                f"compaction of {self.table!r} would have changed its rows; left as it was"
            )
