# SPDX-License-Identifier: BSD-3-Clause
"""What definitions of visits change in a repository: compared in bulk, written in one commit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lakebutler.dimensions.arrow import records_to_table, table_to_records
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.instruments.visits.groups import Exposure, VisitDefinition
from lakebutler.instruments.visits.records import differences, visit_record
from lakebutler.instruments.visits.regions import Footprints, binary_array
from lakebutler.instruments.visits.report import VisitReport, VisitStatus
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry.record_tables import append_records, remove_records
from lakebutler.registry.schema import dimension_table

if TYPE_CHECKING:
    import pyarrow

__all__ = ["VisitChanges"]

_BATCH = 200
"""Visits whose detector regions are computed at once."""
_ELEMENTS = ("visit", "visit_definition", "visit_system_membership", "visit_detector_region")

Pointing = tuple[float, float, float]


class _Stored(NamedTuple):
    """What a repository has of some visits."""

    records: dict[int, dict[str, Any]]
    exposures: dict[int, set[int]]
    systems: dict[int, set[int]]
    names: dict[str, int]


class VisitChanges:
    """Compare definitions of visits with what is registered, and make them so.

    Parameters
    ----------
    universe : `DimensionUniverse`
        The repository's dimensions.
    instrument : `str`
        The camera.
    definitions : sequence of `VisitDefinition`
        What there should be.
    systems : sequence of `int`
        The visit systems that the definitions are for.
    footprints : `Footprints` or `None`
        The camera on the sky; `None` if its geometry is not known.
    own : `Mapping` [`int`, `Footprints`], optional
        The same by visit, for those at whose time the camera was another one.
    update : `bool`
        Whether registered visits that differ are replaced.
    merge : `bool`
        Whether regions are those of all exposures, instead of the first.

    Attributes
    ----------
    reports : `list` [`VisitReport`]
        What the latest change does, visit by visit.
    regions : `int`
        How many detector regions it writes.
    """

    def __init__(
        self,
        universe: DimensionUniverse,
        instrument: str,
        definitions: Sequence[VisitDefinition],
        systems: Sequence[int],
        footprints: Footprints | None,
        own: Mapping[int, Footprints] | None = None,
        *,
        update: bool,
        merge: bool,
    ) -> None:
        self.universe = universe
        self.instrument = instrument
        self.definitions = definitions
        self.systems = frozenset(systems)
        self.footprints = footprints
        self.own = own or {}
        self.update = update
        self.merge = merge
        self.reports: list[VisitReport] = []
        self.regions = 0
        self._records: dict[int, dict[str, Any]] = {}
        for visit in definitions:
            pointings = self._pointings(visit)
            camera = self.own.get(visit.id, footprints)
            region = camera.visit_region(pointings) if camera and pointings else None
            self._records[visit.id] = visit_record(visit, instrument, region)

    def _pointings(self, visit: VisitDefinition) -> list[Pointing]:
        exposures = visit.exposures if self.merge else visit.exposures[:1]
        found = [pointing_of(exposure) for exposure in exposures]
        return [p for p in found if p is not None] if None not in found else []

    def build(self, snapshot: Snapshot) -> Change | None:
        """Make the change that a state of the repository needs.

        Parameters
        ----------
        snapshot : `Snapshot`
            The state.

        Returns
        -------
        change : `Change` or `None`
            `None` if everything is there.
        """
        stored = self._stored(snapshot)
        self.reports, self.regions = [], 0
        wanted: list[VisitDefinition] = []
        replaced: list[VisitDefinition] = []
        for visit in self.definitions:
            status, reason = self._judge(visit, stored)
            exposures = tuple(e["id"] for e in visit.exposures)
            has_region = self._records[visit.id]["region"] is not None
            self.reports.append(VisitReport(visit.id, status, exposures, has_region, reason))
            if status is VisitStatus.CHANGED:
                replaced.append(visit)
            if status in (VisitStatus.DEFINED, VisitStatus.CHANGED):
                wanted.append(visit)
        if not wanted:
            return None
        change = Change()
        for element in _ELEMENTS[:2]:
            change.touch(dimension_table(element), (self.instrument,))
        keys = [(self.instrument, visit.id) for visit in replaced]
        tables = self._tables(snapshot, wanted, stored)
        for element in _ELEMENTS:
            remove_records(snapshot, change, self.universe[element], ("instrument", "visit"), keys)
            append_records(snapshot, change, self.universe[element], tables[element])
        self.regions = tables["visit_detector_region"].num_rows
        return change

    # ------------------------------------------------------------------ judging

    def _stored(self, snapshot: Snapshot) -> _Stored:
        ids = [visit.id for visit in self.definitions]
        names = [visit.name for visit in self.definitions]
        visits = self._match(snapshot, "visit", "visit", ids)
        records = {} if visits is None else {r["id"]: r for r in _rows(self.universe["visit"], visits)}
        for record in records.values():
            record["region"] = None if record["region"] is None else record["region"].encode()
        exposures: dict[int, set[int]] = {}
        systems: dict[int, set[int]] = {}
        for element, column, found in (
            ("visit_definition", "exposure", exposures),
            ("visit_system_membership", "visit_system", systems),
        ):
            table = self._match(snapshot, element, "visit", ids)
            if table is not None:
                pairs = zip(*(table.column(c).to_pylist() for c in ("visit", column)), strict=True)
                for number, value in pairs:
                    found.setdefault(number, set()).add(value)
        named = self._match(snapshot, "visit", "name", names)
        holders = {} if named is None else _pairs(named, "name", "visit")
        return _Stored(records, exposures, systems, holders)

    def _match(
        self, snapshot: Snapshot, element: str, column: str, values: Sequence[Any]
    ) -> pyarrow.Table | None:
        import pyarrow as pa

        table = dimension_table(element)
        if table not in snapshot.schemas() or not values:
            return None
        instrument = pa.repeat(pa.scalar(self.instrument), len(values))
        keys = pa.table({"instrument": instrument, column: values})
        return snapshot.match(table, ("instrument", column), keys)

    def _judge(self, visit: VisitDefinition, stored: _Stored) -> tuple[VisitStatus, str]:
        holder = stored.names.get(visit.name)
        if holder is not None and holder != visit.id:
            return VisitStatus.CONFLICT, f"its name {visit.name!r} is that of visit {holder}"
        record = stored.records.get(visit.id)
        if record is None:
            return VisitStatus.DEFINED, ""
        before = stored.exposures.get(visit.id, set())
        after = {e["id"] for e in visit.exposures}
        systems = stored.systems.get(visit.id, set())
        if before < after and before:
            return VisitStatus.CHANGED, f"{_listed(after - before)} added"
        reasons = [f"{_listed(before - after)} in it, but not among the exposures"] if before - after else []
        if not before:
            reasons.append("it has no exposures")
        reasons += differences(record, self._records[visit.id])
        if reasons:
            return (VisitStatus.CHANGED if self.update else VisitStatus.CONFLICT), "; ".join(reasons)
        if systems & self.systems != visit.systems:
            return VisitStatus.CHANGED, "it belongs to other visit systems now"
        return VisitStatus.PRESENT, ""

    # ------------------------------------------------------------------ writing

    def _tables(
        self, snapshot: Snapshot, visits: Sequence[VisitDefinition], stored: _Stored
    ) -> dict[str, pyarrow.Table]:
        import pyarrow as pa

        def relation(column: str, pairs: list[tuple[int, int]]) -> pyarrow.Table:
            numbers, values = zip(*pairs, strict=True)
            instrument = pa.repeat(pa.scalar(self.instrument), len(pairs))
            return pa.table({"instrument": instrument, "visit": numbers, column: values})

        systems = {v.id: (stored.systems.get(v.id, set()) - self.systems) | v.systems for v in visits}
        return {
            "visit": records_to_table(self.universe["visit"], [self._records[v.id] for v in visits]),
            "visit_definition": relation("exposure", [(v.id, e["id"]) for v in visits for e in v.exposures]),
            "visit_system_membership": relation(
                "visit_system", [(v.id, system) for v in visits for system in sorted(systems[v.id])]
            ),
            "visit_detector_region": self._detector_regions(snapshot, visits),
        }

    def _detector_regions(self, snapshot: Snapshot, visits: Sequence[VisitDefinition]) -> pyarrow.Table:
        import pyarrow as pa

        placed: dict[Footprints, list[tuple[int, list[Pointing]]]] = {}
        for visit in visits:
            camera, pointings = self.own.get(visit.id, self.footprints), self._pointings(visit)
            if camera is not None and pointings:
                placed.setdefault(camera, []).append((visit.id, pointings))
        where = {"instrument": self.instrument}
        known = snapshot.distinct(dimension_table("detector"), "detector", where)
        if not placed:
            return _region_table(self.instrument, [], [], pa.chunked_array([], pa.binary()))
        return pa.concat_tables([self._regions_of(camera, pairs, known) for camera, pairs in placed.items()])

    def _regions_of(
        self, camera: Footprints, placed: Sequence[tuple[int, list[Pointing]]], known: Collection[int]
    ) -> pyarrow.Table:
        """Compute the regions of all registered detectors of one camera."""
        import pyarrow as pa

        picked = [i for i, number in enumerate(camera.detectors) if number in known]
        chunks: list[Any] = []
        for first in range(0, len(placed), _BATCH):
            batch = [pointings for _, pointings in placed[first : first + _BATCH]]
            if any(len(set(pointings)) > 1 for pointings in batch):
                merged = [camera.merged_regions(pointings) for pointings in batch]
                chunks.append(pa.array([row[i] for row in merged for i in picked], pa.binary()))
            else:
                made = camera.detector_regions(*zip(*(p[0] for p in batch), strict=True))
                chunks.append(binary_array(made[:, picked]))
        detectors = [camera.detectors[i] for i in picked]
        regions = pa.chunked_array(chunks, pa.binary())
        return _region_table(self.instrument, detectors, [number for number, _ in placed], regions)


def _region_table(
    instrument: str, detectors: Sequence[int], visits: Sequence[int], regions: pyarrow.ChunkedArray
) -> pyarrow.Table:
    """Give the regions of all detectors in each visit as a table."""
    import numpy as np
    import pyarrow as pa

    return pa.table(
        {
            "instrument": pa.repeat(pa.scalar(instrument), len(detectors) * len(visits)),
            "detector": np.tile(np.array(detectors, dtype=np.int64), len(visits)),
            "visit": np.repeat(np.array(visits, dtype=np.int64), len(detectors)),
            "region": regions,
        }
    )


def pointing_of(exposure: Exposure) -> Pointing | None:
    """Say where an exposure points.

    Parameters
    ----------
    exposure : `Exposure`
        The exposure.

    Returns
    -------
    pointing : `tuple` [`float`, `float`, `float`] or `None`
        Right ascension, declination and sky angle in degrees, if all are known.
    """
    ra, dec, angle = (exposure[name] for name in ("tracking_ra", "tracking_dec", "sky_angle"))
    return None if ra is None or dec is None or angle is None else (ra, dec, angle)


def _rows(element: Any, table: pyarrow.Table) -> list[dict[str, Any]]:
    return [record.toDict() for record in table_to_records(element, table)]


def _pairs(table: pyarrow.Table, key: str, value: str) -> dict[Any, Any]:
    return dict(zip(table.column(key).to_pylist(), table.column(value).to_pylist(), strict=True))


def _listed(numbers: set[int]) -> str:
    shown = ", ".join(str(n) for n in sorted(numbers)[:3])
    more = f" and {len(numbers) - 3} more" if len(numbers) > 3 else ""
    return f"exposure{'s' if len(numbers) > 1 else ''} {shown}{more}"
