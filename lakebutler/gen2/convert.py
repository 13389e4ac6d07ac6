# SPDX-License-Identifier: BSD-3-Clause
"""A repository of ``lsst.daf.persistence`` becomes one of ours; the source is only read."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lakebutler.butler.butler import Butler
from lakebutler.config import has_repository
from lakebutler.errors import StorageError, known_names
from lakebutler.gen2.options import MODES, Options
from lakebutler.gen2.parts import Plan
from lakebutler.gen2.plan import make_plan
from lakebutler.gen2.report import Report
from lakebutler.gen2.sites import find_sites, walk_site
from lakebutler.gen2.skymaps import SkyMaps
from lakebutler.gen2.write import Written, write_plan
from lakebutler.lake.collector import collector_paused
from lakebutler.progress import NullProgress, Progress

__all__ = ["Conversion", "convert_gen2", "plan_gen2"]


@dataclass(frozen=True)
class Conversion:
    """What a conversion did, or would do.

    Attributes
    ----------
    root : `str`
        The new repository.
    report : `Report`
        What became of every file.
    written : `Written` or `None`
        What was new; `None` for a dry run.
    seconds : mapping
        CPU seconds of each stage: ``find``, ``walk``, ``translate``, ``write``.
    """

    root: str
    report: Report
    written: Written | None
    seconds: Mapping[str, float] = field(default_factory=dict)


def plan_gen2(
    source: str | os.PathLike[str],
    options: Options | None = None,
    *,
    butler: Butler | None = None,
    progress: Progress | None = None,
    seconds: dict[str, float] | None = None,
) -> Plan:
    """Work out a conversion; nothing is written anywhere.

    Parameters
    ----------
    source : `str` or path-like
        The old repository.
    options : `Options`, optional
        What the user decides.
    butler : `Butler`, optional
        The new repository, where skymaps are looked up.
    progress : `Progress`, optional
        Told of every repository that was walked.
    seconds : `dict`, optional
        Takes the CPU seconds of the stages.

    Returns
    -------
    plan : `Plan`
        All that would be written.
    """
    chosen, watch = options or Options(), progress or NullProgress()
    spent = {} if seconds is None else seconds
    if chosen.transfer not in MODES:
        raise StorageError(
            f"a repository cannot be converted with transfer={chosen.transfer!r}: the source stays as it is",
            hint=known_names(chosen.transfer, MODES, what="modes"),
        )
    begin = time.process_time()
    skymaps = SkyMaps(chosen.skymap, butler)
    sites = find_sites(source, chosen)
    spent["find"] = time.process_time() - begin
    begin = time.process_time()
    roots = [site.root for site in sites.sites]
    watch.start("walking", len(roots))
    with collector_paused():
        for site in sites.sites:
            skip = [*roots, f"{site.root}/rerun"]
            walk_site(site, sites.camera, chosen, skip)
            watch.advance()
    watch.finish()
    spent["walk"] = time.process_time() - begin
    begin = time.process_time()
    with collector_paused():
        plan = make_plan(sites, chosen, skymaps, Report(os.path.realpath(source)))
    spent["translate"] = time.process_time() - begin
    return plan


def convert_gen2(
    source: str | os.PathLike[str],
    dest: str | os.PathLike[str],
    options: Options | None = None,
    *,
    dry_run: bool = False,
    allow_external: bool | Sequence[str] = (),
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Convert a repository of ``lsst.daf.persistence``.

    Parameters
    ----------
    source : `str` or path-like
        Its root; nothing is ever written there.
    dest : `str` or path-like
        The new repository; made if it is not there.
    options : `Options`, optional
        What the user decides.
    dry_run : `bool`, optional
        Only report what would be done.
    allow_external : `bool` or sequence of `str`, optional
        Places outside the new repository that its datasets may lie in.
    storage_options : mapping, optional
        Options for fsspec where ``dest`` is a URL.
    progress : `Progress`, optional
        Told of stages.

    Returns
    -------
    conversion : `Conversion`
        What was done.

    Raises
    ------
    NotARepositoryError
        Raised if the source is no repository.
    RepositoryFormatError
        Raised if a part of it cannot be read, or nobody knows its mapper.
    InstrumentError
        Raised for a filter that nobody knows.
    ConflictingDefinitionError
        Raised if validity ranges are not permitted, or the new repository has something
        else under the same name.
    """
    chosen, watch = options or Options(), progress or NullProgress()
    seconds: dict[str, float] = {}
    there = has_repository(dest, storage_options)
    root = os.fspath(dest)
    if dry_run or not there:
        butler = Butler.from_config(dest, storage_options=storage_options) if there else None
        try:
            plan = plan_gen2(source, chosen, butler=butler, progress=watch, seconds=seconds)
        finally:
            if butler is not None:
                butler.close()
        if dry_run:
            return Conversion(root, plan.report, None, seconds)
        Butler.makeRepo(dest, storage_options=storage_options)
    with Butler.from_config(
        dest, writeable=True, storage_options=storage_options, allow_external=allow_external
    ) as butler:
        if there:
            plan = plan_gen2(source, chosen, butler=butler, progress=watch, seconds=seconds)
        begin = time.process_time()
        with collector_paused():
            written = write_plan(butler, plan, chosen.transfer, watch)
        seconds["write"] = time.process_time() - begin
    return Conversion(root, plan.report, written, seconds)
