# SPDX-License-Identifier: BSD-3-Clause
"""Names of collections, as the field gives them to converted repositories."""

from __future__ import annotations

import re

from lakebutler.gen2.validity import parse_time

__all__ = [
    "REFCATS",
    "REFCAT_RUN",
    "calib_collection",
    "calib_run",
    "defaults",
    "output_chain",
    "type_name",
]

REFCATS = "refcats"
REFCAT_RUN = "refcats/gen2"


def calib_collection(camera: str, label: str | None) -> str:
    """Name the collection in which calibrations are certified."""
    return f"{camera}/calib/{label}" if label else f"{camera}/calib"


def calib_run(camera: str, label: str | None, calib_date: str | None) -> str:
    """Name the run of the calibrations of a date.

    Parameters
    ----------
    camera : `str`
        Name of the camera.
    label : `str` or `None`
        As in the collection.
    calib_date : `str` or `None`
        The date, or a time; `None` if nothing tells it.

    Returns
    -------
    run : `str`
        ``<camera>/calib/<label>/YYYYMMDDThhmmssZ``.
    """
    base = calib_collection(camera, label)
    nsec = parse_time(calib_date)
    if nsec is None:
        return f"{base}/undated"
    from datetime import UTC, datetime, timedelta

    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nsec // 1000)
    return f"{base}/{when:%Y%m%dT%H%M%S}Z"


def output_chain(camera: str, name: str) -> str:
    """Name the chain of a rerun.

    Parameters
    ----------
    camera : `str`
        Name of the camera.
    name : `str`
        Path of the rerun below ``rerun``; ``root`` for what stands in the root itself.

    Returns
    -------
    chain : `str`
        ``u/<user>/<name>`` for private reruns, else ``<camera>/runs/<name>``; its run is
        ``<chain>/direct``.
    """
    first, _, rest = name.partition("/")
    if first == "private" and rest:
        return f"u/{rest}"
    if first == "shared" and rest:
        name = rest
    return f"{camera}/runs/{name}"


def defaults(camera: str) -> str:
    """Name the chain of all that a user starts with."""
    return f"{camera}/defaults"


def type_name(catalogue: str) -> str:
    """Make the name of a dataset type of that of a reference catalogue.

    Parameters
    ----------
    catalogue : `str`
        Name of its directory.

    Returns
    -------
    name : `str`
        The same, with ``_`` for what a dataset type cannot have.
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", catalogue)
    return name if name[:1].isalpha() or name.startswith("_") else f"_{name}"
