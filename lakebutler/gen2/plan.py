# SPDX-License-Identifier: BSD-3-Clause
"""All that a conversion will write, worked out before anything is written.

The same plan is behind a dry run and the real one: their numbers cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from lakebutler.gen2 import names
from lakebutler.gen2.calibrations import (
    Certified,
    Matches,
    calib_dates,
    catch_all_table,
    certify,
    match_rows,
    rows_of_paths,
)
from lakebutler.gen2.chains import make_chains
from lakebutler.gen2.dataset_types import Role, TypePlan
from lakebutler.gen2.exposures import Exposures, registry_exposures
from lakebutler.gen2.lookup import compare_lookups
from lakebutler.gen2.options import Options
from lakebutler.gen2.parts import Part, Plan
from lakebutler.gen2.refcats import part_catalogues
from lakebutler.gen2.report import CONVERTED, IGNORED, PRUNED, SKIPPED, UNRECOGNISED, Report, TypeCount
from lakebutler.gen2.sites import Site, Sites, skymap_files
from lakebutler.gen2.skymaps import PatchGrid, SkyMaps
from lakebutler.gen2.translate import Filters, Translated, Translator, first_of_each
from lakebutler.gen2.units import with_units
from lakebutler.gen2.visits import plan_visits
from lakebutler.gen2.walk import Found, files_below, place_others
from lakebutler.instruments.cameras.register import instrument_records, raw_run_name
from lakebutler.instruments.skymaps.register import SKYMAP_RUN

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["make_plan"]

_LONGEST_NUMBER = 19
_NOT_CURATED = "written from curated data instead; --curated converts it"


def make_plan(sites: Sites, options: Options, skymaps: SkyMaps, report: Report) -> Plan:
    """Work out all that is to be written.

    Parameters
    ----------
    sites : `Sites`
        Repositories that were walked.
    options : `Options`
        What the user decided.
    skymaps : `SkyMaps`
        What is known of skymaps.
    report : `Report`
        Takes what becomes of every file.

    Returns
    -------
    plan : `Plan`
        All of it.

    Raises
    ------
    InstrumentError
        Raised for a filter that nobody knows.
    RepositoryFormatError
        Raised if there are patches, but no skymap.
    ConflictingDefinitionError
        Raised for validity ranges that the user forbids.
    """
    return _Planner(sites, options, skymaps, report).run()


class _Planner:
    """Works out one conversion."""

    def __init__(self, sites: Sites, options: Options, skymaps: SkyMaps, report: Report) -> None:
        self.sites = sites
        self.options = options
        self.skymaps = skymaps
        self.report = report
        self.camera = sites.camera
        self.filters = Filters(self.camera, options.filters)
        self.translator = Translator(self.camera, options, self.filters)
        self.plan = Plan(report, names.calib_collection(self.camera.name, options.label))
        self.runs: dict[str, dict[str, None]] = {}
        self.exposures = Exposures()
        self.used: dict[str, set[int]] = {"exposure": set(), "visit": set()}
        self.grids: dict[str, PatchGrid | None] = {}
        self.tracts: dict[str, tuple[PatchGrid, set[int]]] = {}

    def run(self) -> Plan:
        """Work it out."""
        self.report.camera = self.camera.name
        self.report.note(self.sites.notes)
        tables = [
            (site, site.plans[name], hits.table())
            for site in self.sites.sites
            for name, hits in sorted(site.walked.hits.items())
        ]
        self._find_exposures(tables)
        for site, plan, table in tables:
            self._convert(site, plan, table)
        if self.sites.sites:
            top = self.sites.sites[0]
            place_others(top.walked, self.sites.others, top.layout.rules["ignored"])
        for site in self.sites.sites:
            self._account(site)
        self._records()
        changes, notes = compare_lookups(self.plan.parts, self.exposures, self.camera)
        self.report.changes += changes
        self.report.note(notes)
        certified = any(part.certified.positions for part in self.plan.parts)
        self.plan.chains = make_chains(self.sites, self.runs, self.plan.calibrations if certified else None)
        self.report.note(self.filters.notes())
        return self.plan

    # ---------------------------------------------------------------- exposures

    def _find_exposures(self, tables: Iterable[tuple[Site, TypePlan, pa.Table]]) -> None:
        """Learn of all exposures that files are of."""
        asked: set[int] = set()
        files: dict[int, list[str]] = {}
        for site, plan, table in tables:
            key = plan.keys.get("exposure") or plan.keys.get("visit")
            if key is None or plan.refused or not table.num_rows:
                continue
            texts = table.column(key)
            asked.update(int(text) for text in texts.unique().to_pylist() if _is_number(text))
            if plan.role == Role.RAW:
                for text, path in zip(texts.to_pylist(), table.column("path").to_pylist(), strict=True):
                    if _is_number(text):
                        files.setdefault(int(text), []).append(f"{site.root}/{path}")
        scale = self.sites.layout.rules["times"]
        for rows in self.sites.raws:
            obs_time = self.sites.layout.rules["obs_time"]
            found = registry_exposures(rows, self.camera, self.filters, scale, asked, obs_time)
            self.exposures.known = found.known | self.exposures.known
            self.exposures.looked_up = found.looked_up | self.exposures.looked_up
            self.report.note(found.notes)
        if self.sites.raws:
            self.report.note([f"times of the registry are taken as {scale.upper()}"])
        if self.options.headers:
            every = self.camera.raw.units == "each"
            self.exposures.read_headers(self.camera, files, self.options.trust, every=every)
        self.report.note(self.exposures.notes)
        self.report.differences += [d._asdict() for d in self.exposures.differences]
        self.translator.exposures = self.exposures.known

    # ----------------------------------------------------------------- datasets

    def _convert(self, site: Site, plan: TypePlan, table: pa.Table) -> None:
        files = table.num_rows
        why = self._refusal(plan)
        if why:
            self.report.add(site.root, table.column("path"), SKIPPED, plan.name, why)
            self.report.counts.append(TypeCount(site.root, plan.name, files, 0, 0, files))
            return
        if plan.template.catches_all:
            plan, table = _from_registry(site, plan, table)
        grid = self._grid(site, plan) if "skymap" in plan.constants else None
        found = self.translator.translate(plan, table, grid)
        skipped = list(found.skipped)
        if plan.template.unit_key is not None or (self.exposures.units and plan.role == Role.RAW):
            found = with_units(
                found, site.root, self.camera, self.exposures, self.sites.raws, self.options, skipped
            )
        if plan.role == Role.REFCAT:
            key = next(k for k in plan.template.keys if site.layout.rules["keys"].get(k) == "name")
            done = part_catalogues(site.root, found, f"_{key}", skipped, self.report)
            if done:
                self.runs.setdefault(site.root, {})[names.REFCAT_RUN] = None
        else:
            matches = self._matches(site, found)
            done = [self._finish(site, found, matches, skipped)]
        if grid is not None and done[0].table.num_rows:
            used = self.tracts.setdefault(grid.name, (grid, set()))[1]
            used.update(done[0].table.column("tract").unique().to_pylist())
        for part in done:
            self.plan.parts.append(part)
        self._count(site, plan, files, done, skipped)

    def _grid(self, site: Site, plan: TypePlan) -> PatchGrid:
        """Find the skymap of a repository, once."""
        if site.root not in self.grids:
            self.grids[site.root] = self.skymaps.of_files(skymap_files(site))
        grid = self.grids[site.root]
        if grid is None:
            raise self.skymaps.unknown(site.root, plan.name)
        return grid

    def _refusal(self, plan: TypePlan) -> str:
        if plan.refused:
            return plan.refused
        if not self.options.wants(plan.name):
            return "not selected"
        if plan.curated and not self.options.curated and plan.name not in self.options.types:
            return _NOT_CURATED
        return ""

    def _matches(self, site: Site, found: Translated) -> Matches | None:
        if found.plan.role != Role.CALIBRATION or not site.calib_tables:
            return None
        table = site.calib_tables.get(found.plan.name)
        if table is None:
            self.report.note([f"{site.root}: the registry has no table {found.plan.name}: not certified"])
            return None
        matches = match_rows(found, table)
        kind, lacking, alone = found.plan.name, matches.rows_without_file, matches.files_without_row
        if lacking:
            text = (
                f"{kind}: {len(lacking)} of {len(table)} rows of the registry are of files that are not there"
            )
            self.report.note([text])
        if alone:
            first = found.table.column("path")[alone[0]]
            text = f"{kind}: {len(alone)} files are in no row of the registry, such as {first}: not certified"
            self.report.note([text])
        return matches

    def _finish(
        self, site: Site, found: Translated, matches: Matches | None, skipped: list[tuple[str, str]]
    ) -> Part:
        """Name the runs, drop what is there twice, and certify."""
        import pyarrow as pa

        plan, table = found.plan, found.table
        dimensions = [d for d in plan.dimensions if d in table.column_names]
        runs = self._run_of(site, plan, found, matches)
        place = pa.array(range(table.num_rows), pa.int64())
        table = table.append_column("run", runs).append_column("_place", place)
        first, others = first_of_each(table, ["run", *dimensions])
        skipped += [
            (path, f"the same data ID as {taken}")
            for path, taken in zip(
                others.column("path").to_pylist(), others.column("first").to_pylist(), strict=True
            )
        ]
        certified = Certified()
        if matches is not None:
            kept = {place: i for i, place in enumerate(first.column("_place").to_pylist())}
            matches.pairs = [(kept[i], j) for i, j in matches.pairs if i in kept]
            certified = certify(Translated(plan, first), matches, self.options, site.layout.rules["times"])
            self.report.changes += certified.changes
            self.report.note(certified.notes)
        self._use(first)
        for run in first.column("run").unique().to_pylist():
            self.runs.setdefault(site.root, {})[run] = None
        return Part(
            plan.name,
            tuple(dimensions),
            plan.storage_class,
            plan.formatter,
            site.root,
            first,
            plan.role == Role.CALIBRATION,
            certified,
        )

    def _run_of(self, site: Site, plan: TypePlan, found: Translated, matches: Matches | None) -> pa.Array:
        import pyarrow as pa

        n, camera = found.table.num_rows, self.camera.name
        if plan.run is not None:
            run = plan.run
        elif plan.role == Role.RAW:
            run = raw_run_name(self.camera)
        elif plan.role == Role.CALIBRATION:
            dates = calib_dates(found, matches)
            made = {date: names.calib_run(camera, self.options.label, date) for date in set(dates)}
            return pa.array([made[date] for date in dates], pa.string())
        else:
            run = f"{names.output_chain(camera, site.name)}/direct"
        return pa.repeat(pa.scalar(run, pa.string()), n)

    def _use(self, table: pa.Table) -> None:
        for dimension, used in self.used.items():
            if dimension in table.column_names:
                used.update(table.column(dimension).unique().to_pylist())

    # ------------------------------------------------------------------ account

    def _count(
        self, site: Site, plan: TypePlan, files: int, parts: list[Part], skipped: list[tuple[str, str]]
    ) -> None:
        report = self.report
        for part in parts:
            paths = part.table.column("path")
            whole = paths.unique() if "unit" in part.table.column_names else paths
            report.add(site.root, whole, CONVERTED, part.name, None)
            certified = len(set(part.certified.positions))
            kind = part.name if plan.role == Role.REFCAT else plan.name
            report.counts.append(TypeCount(site.root, kind, len(whole), part.table.num_rows, certified, 0))
        if skipped:
            report.add(site.root, [p for p, _ in skipped], SKIPPED, plan.name, [why for _, why in skipped])
            lost = files - sum(count.files for count in report.counts[-len(parts) :]) if parts else files
            if len(parts) == 1:
                report.counts[-1] = report.counts[-1]._replace(files=files, skipped=lost)
            else:
                report.counts.append(TypeCount(site.root, plan.name, lost, 0, 0, lost))

    def _account(self, site: Site) -> None:
        """Tell of what is no dataset."""
        walked, report = site.walked, self.report
        if self.options.count_unopened:
            self._list_unopened(site)
        for found, status in (
            (walked.unusable, SKIPPED),
            (walked.ignored, IGNORED),
            (walked.unrecognised, UNRECOGNISED),
            (walked.pruned, PRUNED),
        ):
            report.add(site.root, [f.path for f in found], status, None, [f.reason for f in found])
        report.opened += walked.opened
        report.note(walked.notes)

    def _list_unopened(self, site: Site) -> None:
        """Put the files of a directory that was not opened in its place."""
        walked, known = site.walked, {other.root for other in self.sites.sites}
        directories, walked.pruned = walked.pruned, []
        for found in directories:
            paths, unusable = files_below(site.root, found.path, known)
            walked.unusable += unusable
            walked.pruned += [Found(path, found.reason) for path in paths]

    # ------------------------------------------------------------- records, chains

    def _records(self) -> None:
        records = self.plan.records
        uses_camera = any("instrument" in part.dimensions for part in self.plan.parts)
        if uses_camera:
            records.update(instrument_records(self.camera))
        numbers = self.used["exposure"] | self.used["visit"]
        if numbers:
            records.update(self.exposures.records(numbers))
            visits = plan_visits(
                self.camera,
                records["exposure"],
                self.used["visit"],
                all_of_sky=self.options.define_visits,
            )
            have = {row["id"] for row in records["visit_system"]}
            records["visit_system"] += [r for r in visits.system_records() if r["id"] not in have]
            self.plan.visits = visits
            self.report.note(visits.notes)
        for grid, tracts in self.tracts.values():
            for element, values in grid.records(tracts).items():
                records.setdefault(element, []).extend(values)
            if grid.definition is not None and not grid.registered:
                self.plan.skymaps[grid.name] = grid.definition
            if grid.definition is not None:
                self.runs.setdefault(self.sites.sites[0].root, {})[SKYMAP_RUN] = None
        unused = [
            site.root
            for site in self.sites.sites
            if site.root not in self.grids and any(name.endswith("_skyMap") for name in site.walked.hits)
        ]
        self.report.note(
            f"{root} has a skymap, but nothing of its tracts: it is not registered; "
            "lakebutler register-skymap does that"
            for root in unused
        )
        self.report.note(self.skymaps.notes)


def _is_number(text: str) -> bool:
    """Whether it may number an exposure; others are refused when they are translated."""
    return len(text) < _LONGEST_NUMBER and text.isdigit()


def _from_registry(site: Site, plan: TypePlan, table: pa.Table) -> tuple[TypePlan, pa.Table]:
    """Give files that only the registry can tell the keys that it has of them."""
    rows = site.calib_tables[plan.name]
    made = catch_all_table(table, rows, rows_of_paths(rows))
    keys = {"detector": "ccdnum"}
    if "filter" in made.column_names:
        keys["physical_filter"] = "filter"
    told = tuple(name for name in made.column_names if name != "path")
    template = replace(plan.template, keys=("path", *told), unit=None)
    return replace(plan, keys=keys, template=template), made
