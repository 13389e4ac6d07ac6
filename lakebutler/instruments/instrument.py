# SPDX-License-Identifier: BSD-3-Clause
"""Put a camera into a repository: instrument, detectors, filters, visit systems."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lakebutler.instruments.camera import VISIT_SYSTEMS, Camera, load_camera

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler

__all__ = ["instrument_records", "raw_run_name", "register_instrument"]


def instrument_records(camera: Camera) -> dict[str, list[dict[str, Any]]]:
    """Make the dimension records that describe a camera.

    Parameters
    ----------
    camera : `Camera`
        The camera.

    Returns
    -------
    records : `dict` [`str`, `list` [`dict`]]
        Element name to records, in an order in which they can be inserted.
    """
    name = camera.name
    return {
        "instrument": [
            {
                "name": name,
                "class_name": camera.class_name,
                "detector_max": camera.limits.detector,
                "visit_max": camera.limits.visit,
                "exposure_max": camera.limits.exposure,
                "visit_system": VISIT_SYSTEMS[camera.visit_systems[0]],
            }
        ],
        "detector": [
            {
                "instrument": name,
                "id": d.id,
                "full_name": d.name,
                "name_in_raft": d.name_in_raft,
                "raft": d.raft,
                "purpose": d.purpose,
            }
            for d in camera.detectors
        ],
        "physical_filter": [{"instrument": name, "name": f.name, "band": f.band} for f in camera.filters],
        "visit_system": [
            {"instrument": name, "id": VISIT_SYSTEMS[system], "name": system}
            for system in camera.visit_systems
        ],
    }


def register_instrument(
    butler: Butler, name: str | os.PathLike[str] | Camera, *, update: bool = False
) -> dict[str, int]:
    """Register a camera, or do nothing if it is registered so already.

    Parameters
    ----------
    butler : `Butler`
        A writeable repository.
    name : `str`, path-like or `Camera`
        Name of a known camera, path of a camera file of the user's, or a camera.
    update : `bool`, optional
        Replace records that differ from the camera's description.

    Returns
    -------
    added : `dict` [`str`, `int`]
        Element name to the number of records inserted or changed.

    Raises
    ------
    InstrumentError
        Raised if there is no such camera.
    ConflictingDefinitionError
        Raised if the repository describes the camera differently and ``update`` is
        not set.
    """
    camera = name if isinstance(name, Camera) else load_camera(name)
    added: dict[str, int] = {}
    with butler.transaction():
        for element, records in instrument_records(camera).items():
            outcomes = [
                butler.registry.syncDimensionData(element, record, update=update) for record in records
            ]
            added[element] = sum(1 for outcome in outcomes if outcome)
    return added


def raw_run_name(camera: Camera) -> str:
    """Name the run that a camera's raws are ingested into.

    Parameters
    ----------
    camera : `Camera`
        The camera.

    Returns
    -------
    run : `str`
        ``<camera>/raw/all``, the same as everywhere, so that a raw has the same
        dataset id in every repository.
    """
    return f"{camera.name}/raw/all"
