# SPDX-License-Identifier: BSD-3-Clause
"""Put a skymap into a repository: its record, those of all tracts and patches, its definition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.errors import ConflictingDefinitionError, DimensionValueError
from lakebutler.instruments.skymaps.definition import SkyMapDefinition
from lakebutler.instruments.skymaps.skymap import SkyMap
from lakebutler.instruments.visits.regions import binary_array
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot
from lakebutler.progress import NullProgress, Progress
from lakebutler.registry.record_tables import append_records

if TYPE_CHECKING:
    import pyarrow

    from lakebutler.butler.butler import Butler

__all__ = ["DATASET_TYPE", "SKYMAP_RUN", "STORAGE_CLASS", "register_skymap", "registered_skymap"]

DATASET_TYPE = "skyMap"
"""Dataset type of the definition."""
STORAGE_CLASS = "StructuredDataDict"
"""How it is kept; others keep Python objects under the same name."""
SKYMAP_RUN = "skymaps"
"""The run that definitions are put into."""

_BATCH = 100
"""Tracts whose regions are computed at once."""


def register_skymap(
    butler: Butler,
    name: str,
    definition: SkyMapDefinition,
    *,
    run: str = SKYMAP_RUN,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Register a skymap with all its tracts and patches, or do nothing if it is there.

    Parameters
    ----------
    butler : `Butler`
        A writeable repository.
    name : `str`
        What it is called.
    definition : `SkyMapDefinition`
        Its parameters.
    run : `str`, optional
        Run for the dataset that keeps the definition.
    progress : `Progress`, optional
        Told of the tracts.

    Returns
    -------
    added : `dict` [`str`, `int`]
        Element name to the number of records inserted.

    Raises
    ------
    ConflictingDefinitionError
        Raised if another skymap has this name, or this one another name.
    """
    watch = progress or NullProgress()
    digest = definition.sha1
    if _is_registered(butler, name, digest):
        return {"skymap": 0, "tract": 0, "patch": 0}
    skymap = SkyMap(definition)
    watch.start("computing regions", len(skymap))
    tracts = _tract_table(name, skymap)
    patches = _patch_table(name, skymap, watch)
    watch.finish()
    boxes = skymap.places.boxes
    record = {
        "name": name,
        "hash": digest,
        "tract_max": len(skymap),
        "patch_nx_max": max(box.patches[0] for box in boxes),
        "patch_ny_max": max(box.patches[1] for box in boxes),
    }

    def build(snapshot: Snapshot) -> Change:
        change = Change()
        for element, table in (("tract", tracts), ("patch", patches)):
            append_records(snapshot, change, butler.dimensions[element], table)
        return change

    kind = DatasetType(DATASET_TYPE, ("skymap",), STORAGE_CLASS, universe=butler.dimensions)
    with butler.transaction(message=f"register skymap {name}"):
        butler.registry.insertDimensionData("skymap", record)
        butler._session.execute(build, op="register-skymap")
        butler.registry.registerDatasetType(kind)
        butler.registry.registerRun(run)
        butler.put({"name": name, **definition.facts}, kind, {"skymap": name}, run=run)
    return {"skymap": 1, "tract": tracts.num_rows, "patch": patches.num_rows}


def _is_registered(butler: Butler, name: str, digest: bytes) -> bool:
    for record in butler.query_dimension_records("skymap", explain=False):
        row = record.toDict()
        if row["name"] == name and row["hash"] == digest:
            return True
        if row["name"] == name:
            raise ConflictingDefinitionError(
                f"skymap {name!r} is registered with other parameters (digest {row['hash'].hex()}, "
                f"not {digest.hex()})",
                hint="give the new one another name",
            )
        if row["hash"] == digest:
            raise ConflictingDefinitionError(
                f"these are the parameters of skymap {row['name']!r}, which is registered already"
            )
    return False


def _tract_table(name: str, skymap: SkyMap) -> pyarrow.Table:
    import numpy as np
    import pyarrow as pa

    regions = skymap.tract_regions(range(len(skymap)))
    return pa.table(
        {
            "skymap": pa.repeat(pa.scalar(name), len(regions)),
            "tract": np.arange(len(regions)),
            "region": binary_array(np.stack(regions)),
        }
    )


def _patch_table(name: str, skymap: SkyMap, watch: Progress) -> pyarrow.Table:
    import pyarrow as pa

    parts = []
    for first in range(0, len(skymap), _BATCH):
        numbers = range(first, min(first + _BATCH, len(skymap)))
        parts += [_patches(name, *batch) for batch in skymap.batches(numbers)]
        watch.advance(len(numbers))
    return pa.concat_tables(parts)


def _patches(name: str, box: Any, tracts: Sequence[int], regions: Any) -> pyarrow.Table:
    import numpy as np
    import pyarrow as pa

    count = regions.shape[1]
    number = np.arange(count)
    return pa.table(
        {
            "skymap": pa.repeat(pa.scalar(name), len(tracts) * count),
            "tract": np.repeat(np.array(tracts, dtype=np.int64), count),
            "patch": np.tile(number, len(tracts)),
            "cell_x": np.tile(number % box.patches[0], len(tracts)),
            "cell_y": np.tile(number // box.patches[0], len(tracts)),
            "region": binary_array(regions),
        }
    )


def registered_skymap(butler: Butler, name: str, collections: str | Iterable[str] = SKYMAP_RUN) -> SkyMap:
    """Get a skymap from a repository that it is registered in.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    name : `str`
        What it is called.
    collections : `str` or iterable of `str`, optional
        Where its definition is.

    Returns
    -------
    skymap : `SkyMap`
        The skymap.

    Raises
    ------
    DimensionValueError
        Raised if the definition is not that of the registered skymap.
    DatasetNotFoundError
        Raised if there is none.
    """
    where = collections if isinstance(collections, str) else list(collections)
    facts = dict(butler.get(DATASET_TYPE, skymap=name, collections=where))
    facts.pop("name", None)
    definition = SkyMapDefinition.from_facts(facts, f"{DATASET_TYPE} of {name}")
    for record in butler.query_dimension_records("skymap", skymap=name, explain=False):
        if record.toDict()["hash"] != definition.sha1:
            raise DimensionValueError(f"the definition of skymap {name!r} is not that of its record")
    return SkyMap(definition)
