# SPDX-License-Identifier: BSD-3-Clause
"""Exposures of LATISS for tests, and what visits a repository has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakebutler import Butler
from lakebutler.timespan import Timespan

ONE, GROUP, SEQUENCE = 0, 1, 2
BASE = 2022040500000


def exposure(number: int, **changed: Any) -> dict[str, Any]:
    """An exposure of LATISS like the real ones of 2022-04-05."""
    begin = 1649213928006500400 + (number - 347) * 41_000_000_000
    return {
        "instrument": "LATISS",
        "id": BASE + number,
        "obs_id": f"AT_O_20220405_{number:06d}",
        "physical_filter": "SDSSg_65mm~empty",
        "group": str(number),
        "day_obs": 20220405,
        "exposure_time": 30.0,
        "dark_time": 30.5,
        "observation_type": "science",
        "observation_reason": "object",
        "seq_num": number,
        "seq_start": number,
        "seq_end": number,
        "target_name": "field",
        "science_program": "LATISS_E6A",
        "tracking_ra": 221.5 + number * 1e-4,
        "tracking_dec": -44.9,
        "sky_angle": 358.5,
        "azimuth": 125.0,
        "zenith_angle": 44.0,
        "has_simulated": False,
        "can_see_sky": True,
        "timespan": Timespan.from_nsec(begin, begin + 30_000_000_000),
    } | changed


def pair(first: int, **changed: Any) -> list[dict[str, Any]]:
    both = {"seq_start": first, "seq_end": first + 1, "group": f"2022-04-06T02:58:{first}"}
    return [exposure(first, **both, **changed), exposure(first + 1, **both, **changed)]


def insert(butler: Butler, *exposures: Mapping[str, Any]) -> None:
    registry = butler.registry
    for row in exposures:
        registry.syncDimensionData("day_obs", {"instrument": row["instrument"], "id": row["day_obs"]})
        registry.syncDimensionData("group", {"instrument": row["instrument"], "name": row["group"]})
        registry.insertDimensionData("exposure", row)


def definition(butler: Butler) -> dict[int, set[int]]:
    """Exposures and visits, by the ends of their numbers."""
    found: dict[int, set[int]] = {}
    for visit, number in butler.sql("SELECT visit, exposure FROM visit_definition").fetchall():
        found.setdefault(visit - BASE, set()).add(number - BASE)
    return found


def systems_of(butler: Butler) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for visit, number in butler.sql("SELECT visit, visit_system FROM visit_system_membership").fetchall():
        found.setdefault(visit - BASE, set()).add(number)
    return found


def visits(butler: Butler) -> dict[int, Any]:
    records = butler.query_dimension_records("visit", instrument="LATISS", explain=False)
    return {record.dataId["visit"] - BASE: record for record in records}


def first_alone(number: int) -> int:
    return int(f"9{BASE + number}") - BASE
