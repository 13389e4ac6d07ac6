# SPDX-License-Identifier: BSD-3-Clause
"""Put a camera into a repository: instrument, detectors, filters, visit systems."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.errors import ConflictingDefinitionError, InstrumentError
from lakebutler.instruments.cameras.camera import VISIT_SYSTEMS, Camera
from lakebutler.instruments.cameras.find import load_camera

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler

__all__ = ["instrument_records", "raw_run_name", "register_instrument", "require_registered"]


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
    with butler.transaction(message=f"register instrument {camera.name}"):
        for element, records in instrument_records(camera).items():
            new, changed, different = _compare(butler, camera.name, element, records)
            if changed and not update:
                more = f" (and {len(changed) - 1} more {element} records)" if len(changed) > 1 else ""
                raise ConflictingDefinitionError(
                    f"{element} {_identifier(changed[0])} of {camera.name} is registered with "
                    f"{'; '.join(different[0])}{more}",
                    hint="update=True (--update) replaces what is registered",
                )
            if new:
                butler.registry.insertDimensionData(element, *new, skip_existing=True)
            if changed:
                butler.registry.insertDimensionData(element, *changed, replace=True)
            added[element] = len(new) + len(changed)
    return added


def _compare(
    butler: Butler, instrument: str, element: str, records: Sequence[Mapping[str, Any]]
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]], list[list[str]]]:
    """Find the records that are not registered, and those that are with other values."""
    found = butler.query_dimension_records(element, instrument=instrument, explain=False, limit=None)
    stored = {_identifier(row): row for row in (record.toDict() for record in found)}
    new, changed, differences = [], [], []
    for record in records:
        present = stored.get(_identifier(record))
        if present is None:
            new.append(record)
            continue
        different = [
            f"{key} {present.get(key)!r}, the camera says {value!r}"
            for key, value in record.items()
            if present.get(key) != value
        ]
        if different:
            changed.append(record)
            differences.append(different)
    return new, changed, differences


def _identifier(record: Mapping[str, Any]) -> Any:
    return record["id"] if "id" in record else record["name"]


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


def require_registered(butler: Butler, camera: Camera) -> None:
    """Check that a camera is registered in a repository.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    camera : `Camera`
        The camera.

    Raises
    ------
    InstrumentError
        Raised if it is not.
    """
    if not butler.query_dimension_records("instrument", instrument=camera.name, explain=False):
        raise InstrumentError(
            f"instrument {camera.name!r} is not registered in this repository",
            hint=f"lakebutler register-instrument {camera.name}",
        )
