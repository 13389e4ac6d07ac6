# SPDX-License-Identifier: BSD-3-Clause
"""Files with several detectors: a dataset for each, all of one file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from lakebutler.gen2.dataset_types import Role
from lakebutler.gen2.exposures import Exposures
from lakebutler.gen2.options import Options
from lakebutler.gen2.registry import RawRows
from lakebutler.gen2.translate import Translated
from lakebutler.instruments.cameras.camera import Camera

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["with_units"]

_UNTOLD = "holds several detectors, and neither its header nor the registry says in which units"


def with_units(
    files: Translated,
    root: str,
    camera: Camera,
    exposures: Exposures,
    raws: Iterable[RawRows],
    options: Options,
    skipped: list[tuple[str, str]],
) -> Translated:
    """Give each file a row for each of its detectors.

    Parameters
    ----------
    files : `Translated`
        Files whose units are no part of their paths.
    root : `str`
        Where they stand.
    camera : `Camera`
        The camera.
    exposures : `Exposures`
        With the units that headers told.
    raws : iterable of `RawRows`
        Registries.
    options : `Options`
        What is selected.
    skipped : `list`
        Takes files of which no units are known.

    Returns
    -------
    files : `Translated`
        With columns ``detector`` and ``unit``.
    """
    import pyarrow as pa

    table, plan = files.table, files.plan
    if "detector" in table.column_names:
        return files
    paths = table.column("path").to_pylist()
    if plan.role == Role.RAW:
        told = _registry_units(raws)
        numbers = table.column("exposure").to_pylist()
        units = [
            exposures.units.get(f"{root}/{path}") or told.get(number, {})
            for path, number in zip(paths, numbers, strict=True)
        ]
    else:  # the unit is the number of the detector
        units = [{number: number for number in camera.detectors_by_id}] * len(paths)
    rows, detectors, numbers_of = [], [], []
    for i, of_file in enumerate(units):
        if not of_file:
            skipped.append((paths[i], _UNTOLD))
        for detector, unit in sorted(of_file.items()):
            if detector in camera.detectors_by_id and (
                options.detectors is None or detector in options.detectors
            ):
                rows.append(i)
                detectors.append(detector)
                numbers_of.append(unit)
    spread: pa.Table = table.take(pa.array(rows, pa.int64()))
    spread = spread.append_column("detector", pa.array(detectors, pa.int64()))
    spread = spread.append_column("unit", pa.array(numbers_of, pa.int64()))
    if "instrument" not in spread.column_names:
        spread = spread.append_column("instrument", pa.repeat(pa.scalar(camera.name), len(rows)))
    constants = {**plan.constants, "instrument": camera.name}
    keys = {**plan.keys, "detector": plan.template.unit_key or ""}
    from dataclasses import replace

    return Translated(replace(plan, keys=keys, constants=constants), spread, files.skipped)


def _registry_units(raws: Iterable[RawRows]) -> Mapping[int, dict[int, int]]:
    """Unit of each detector, by exposure, as registries tell."""
    found: dict[int, dict[int, int]] = {}
    for rows in raws:
        key, detector = rows.exposure_key, rows.detector_key
        unit = next((name for name in ("hdu", "extension") if name in rows.columns), None)
        if key is None or detector is None or unit is None:
            continue
        columns = (rows.columns[key], rows.columns[detector], rows.columns[unit])
        for exposure, number, where in zip(*columns, strict=True):
            if isinstance(number, int) and isinstance(where, int):
                found.setdefault(exposure, {})[number] = where
    return found
