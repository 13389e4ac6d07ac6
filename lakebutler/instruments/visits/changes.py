# SPDX-License-Identifier: BSD-3-Clause
"""What definitions of visits change in a repository: compared in bulk, written in one commit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.dimensions.arrow import records_to_table
from lakebutler.dimensions.universe import DimensionUniverse
from lakebutler.instruments.visits.groups import Exposure, VisitDefinition
from lakebutler.instruments.visits.judge import (
    Verdict,
    impossible_visits,
    judge_others,
    judge_visits,
    rival_reason,
)
from lakebutler.instruments.visits.records import visit_record
from lakebutler.instruments.visits.regions import Footprints, binary_array
from lakebutler.instruments.visits.report import VisitReport, VisitStatus
from lakebutler.instruments.visits.stored import Stored, read_stored, tables_of_visits, users_of
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
    looked_at : collection of `int`, optional
        Exposures whose other visits of these systems are looked at, too: there should be none.

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
        looked_at: Collection[int] = (),
    ) -> None:
        self.universe = universe
        self.instrument = instrument
        self.definitions = definitions
        self.systems = frozenset(systems)
        self.footprints = footprints
        self.own = own or {}
        self.update = update
        self.merge = merge
        self.looked_at = looked_at
        self.reports: list[VisitReport] = []
        self.regions = 0
        self._records: dict[int, dict[str, Any]] = {}
        for visit in definitions:
            pointings = self._pointings(visit)
            camera = self.own.get(visit.id, footprints)
            region = camera.visit_region(pointings) if camera and pointings else None
            self._records[visit.id] = visit_record(visit, instrument, region)
        self._impossible = impossible_visits(universe["visit"], definitions, self._records)

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
        stored = read_stored(
            snapshot, self.universe, self.instrument, self.definitions, self.looked_at, self.systems
        )
        others, verdicts = self._judge(snapshot, stored)
        self._report(stored, others, verdicts)
        self.regions = 0
        gone = [number for number, verdict in others.items() if verdict.status is VisitStatus.REMOVED]
        wanted, replaced = (
            [visit for visit in self.definitions if verdicts[visit.id].status in chosen]
            for chosen in ({VisitStatus.DEFINED, VisitStatus.CHANGED}, {VisitStatus.CHANGED})
        )
        if not wanted and not gone:
            return None
        change = Change()
        for element in _ELEMENTS[:2]:
            change.touch(dimension_table(element), (self.instrument,))
        replaced_ids = [visit.id for visit in replaced]
        replaced_ids += self._take_out(snapshot, change, stored, gone)
        keys = [(self.instrument, number) for number in replaced_ids]
        for element in _ELEMENTS:
            remove_records(snapshot, change, self.universe[element], ("instrument", "visit"), keys)
        if wanted:
            tables = self._tables(snapshot, wanted, stored)
            for element in _ELEMENTS:
                append_records(snapshot, change, self.universe[element], tables[element])
            self.regions = tables["visit_detector_region"].num_rows
        return change

    # ------------------------------------------------------------------ judging

    def _judge(self, snapshot: Snapshot, stored: Stored) -> tuple[dict[int, Verdict], dict[int, Verdict]]:
        """Say what becomes of visits that should not be there, and of those that should."""
        users = users_of(snapshot, self.instrument, sorted(stored.others))
        defined = {e["id"] for visit in self.definitions for e in visit.exposures} if stored.others else set()
        others = judge_others(stored, users, defined, self.systems, update=self.update)
        verdicts = judge_visits(
            self.definitions,
            self._records,
            self._impossible,
            stored,
            others,
            self.systems,
            update=self.update,
        )
        return others, verdicts

    def _report(self, stored: Stored, others: dict[int, Verdict], verdicts: dict[int, Verdict]) -> None:
        """Note what becomes of every visit."""
        found = []

        def note(number: int, verdict: Verdict, exposures: Iterable[int], has_region: bool) -> None:
            found.append(VisitReport(number, verdict.status, tuple(exposures), has_region, verdict.reason))

        for visit in self.definitions:
            has_region = self._records[visit.id]["region"] is not None
            note(visit.id, verdicts[visit.id], (e["id"] for e in visit.exposures), has_region)
            for rival in visit.rivals:
                clash = Verdict(VisitStatus.CONFLICT, rival_reason(visit, rival))
                note(visit.id, clash, (e["id"] for e in rival.exposures), bool(self._pointings(rival)))
        for number, verdict in others.items():
            note(number, verdict, sorted(stored.exposures[number]), True)
        self.reports = sorted(found, key=lambda report: report.visit)

    # ------------------------------------------------------------------ writing

    def _tables(
        self, snapshot: Snapshot, visits: Sequence[VisitDefinition], stored: Stored
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

    def _take_out(self, snapshot: Snapshot, change: Change, stored: Stored, gone: Sequence[int]) -> list[int]:
        """Take visits out of the systems; give those that no other system has."""
        whole = [number for number in gone if stored.systems[number] <= self.systems]
        rows = [
            (self.instrument, number, system)
            for number in gone
            if number not in whole
            for system in sorted(stored.systems[number] & self.systems)
        ]
        columns = ("instrument", "visit", "visit_system")
        remove_records(snapshot, change, self.universe["visit_system_membership"], columns, rows)
        if whole:
            for table in tables_of_visits(snapshot):
                change.touch(table, ())
        return whole

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
