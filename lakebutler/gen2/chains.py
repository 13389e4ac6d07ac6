# SPDX-License-Identifier: BSD-3-Clause
"""Chains of a converted repository: each old repository with its parents, and all that a user starts with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lakebutler.gen2 import names
from lakebutler.gen2.sites import Sites
from lakebutler.instruments.cameras.register import raw_run_name
from lakebutler.instruments.skymaps.register import SKYMAP_RUN

__all__ = ["make_chains"]


def make_chains(
    sites: Sites, runs: Mapping[str, Iterable[str]], calibrations: str | None
) -> dict[str, tuple[str, ...]]:
    """Chain each repository with its parents, and all that a user starts with.

    Parameters
    ----------
    sites : `Sites`
        The old repositories.
    runs : mapping
        Runs by the root of the repository that they come from.
    calibrations : `str` or `None`
        The collection in which calibrations are certified, if any are.

    Returns
    -------
    chains : `dict` [`str`, `tuple` [`str`]]
        Chains with their children.
    """
    camera = sites.camera.name
    chains: dict[str, tuple[str, ...]] = {}
    shared = [calibrations] if calibrations else []
    if calibrations and calibrations != names.calib_collection(camera, None):
        chains[names.calib_collection(camera, None)] = (calibrations,)
    runs_of = {
        root: [run for run in some if not run.startswith(f"{camera}/calib/")] for root, some in runs.items()
    }
    every = {run for some in runs_of.values() for run in some}
    common = [
        run for run in (raw_run_name(sites.camera), names.REFCAT_RUN, "masks", SKYMAP_RUN) if run in every
    ]
    if names.REFCAT_RUN in every:
        chains[names.REFCATS] = (names.REFCAT_RUN,)
    common = [names.REFCATS if run == names.REFCAT_RUN else run for run in common]
    umbrella: list[str] = []
    for site in sites.sites:
        own = names.output_chain(camera, site.name)
        searched = [site.root, *site.parents]
        outputs = [run for root in searched for run in runs_of.get(root, ()) if run.endswith("/direct")]
        if f"{own}/direct" not in outputs:
            continue
        chains[own] = tuple(dict.fromkeys([*outputs, *common, *shared]))
        if site is sites.sites[0]:
            umbrella = outputs
    everything = dict.fromkeys([*common, *umbrella, *shared])
    if everything:
        chains[names.defaults(camera)] = tuple(everything)
    return chains
