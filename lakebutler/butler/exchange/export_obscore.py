# SPDX-License-Identifier: BSD-3-Clause
"""ObsCore of a repository: its configuration, and a file of it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakebutler.butler.querying import sql_table
from lakebutler.config import place_text
from lakebutler.errors import FileFormatError
from lakebutler.registry.obscore import OBSCORE_COLUMNS
from lakebutler.registry.obscore_config import OBSCORE_SETTING, default_obscore, parse_obscore

if TYPE_CHECKING:
    import pyarrow as pa
    from astropy.table import Table

    from lakebutler.butler.butler import Butler
    from lakebutler.lake.change import Change
    from lakebutler.lake.snapshot import Snapshot

__all__ = ["ENDINGS", "export_obscore", "obscore_config", "obscore_table", "set_obscore_config"]

ENDINGS = (".parquet", ".csv", ".ecsv", ".fits", ".vot", ".xml")
"""Endings of files that `export_obscore` writes; the last two are VOTable."""


def obscore_config(butler: Butler) -> Mapping[str, Any]:
    """Return the configuration in force: what the repository says, the default for the rest.

    Parameters
    ----------
    butler : `Butler`
        The repository.

    Raises
    ------
    FileFormatError
        Raised if what the repository says cannot be read.
    """
    snapshot = butler.repository.session.snapshot
    stored = snapshot.state("config").get(OBSCORE_SETTING) or {}
    parse_obscore(stored, f"{butler.repository.root}: {OBSCORE_SETTING}")
    return {**default_obscore(), **stored}


def set_obscore_config(butler: Butler, config: Mapping[str, Any] | None, where: str = "obscore") -> None:
    """Keep a configuration in the repository; the view follows at once.

    Parameters
    ----------
    butler : `Butler`
        The repository, writeable.
    config : `Mapping` or `None`
        Parts that differ from the default; `None` to return to it.
    where : `str`, optional
        Where it is from, for messages.

    Raises
    ------
    FileFormatError
        Raised if a part is unknown or of the wrong form.
    """
    from lakebutler.lake.change import Change

    if config is not None:
        parse_obscore(config, where)

    def build(snapshot: Snapshot) -> Change | None:
        if snapshot.state("config").get(OBSCORE_SETTING) == config:
            return None
        change = Change()
        change.set("config", OBSCORE_SETTING, None if config is None else dict(config))
        return change

    butler.repository.session.execute(build, op="obscore-config")


def obscore_table(
    butler: Butler, *, dataset_types: Sequence[str] = (), collections: Sequence[str] = ()
) -> pa.Table:
    """Return datasets as observations.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    dataset_types, collections : sequence of `str`, optional
        Names of those to take; all by default.  A chain stands for its members.

    Returns
    -------
    rows : `pyarrow.Table`
        The mandatory columns of ObsCore 1.1, with `access_url` in full; ordered by
        time, observation and id.

    Raises
    ------
    FileFormatError
        Raised if the configuration in the repository cannot be read.
    """
    import pyarrow as pa

    obscore_config(butler)  # what cannot be read makes no view: say so
    columns = ", ".join(c.name for c in OBSCORE_COLUMNS)
    conditions, params = [], []
    if dataset_types:
        conditions.append("list_contains(?, lb_dataset_type)")
        params.append(list(dataset_types))
    if collections:
        conditions.append("lb_id IN (SELECT id FROM membership WHERE list_contains(?, collection))")
        params.append(list(butler.collections.query(list(collections), flatten_chains=True)))
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = sql_table(
        butler,
        f"SELECT {columns} FROM obscore{where} ORDER BY t_min NULLS LAST, obs_id, lb_id",
        params or None,
    )
    place = rows.schema.get_field_index("access_url")
    root = butler.repository.root
    urls = [_in_full(root, url) for url in rows.column(place).to_pylist()]
    return rows.set_column(place, "access_url", pa.array(urls, pa.string()))


def export_obscore(
    butler: Butler,
    path: str | os.PathLike[str],
    *,
    dataset_types: Sequence[str] = (),
    collections: Sequence[str] = (),
) -> int:
    """Write datasets as observations to a file.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    path : `str` or path-like
        Parquet, CSV, ECSV, FITS or VOTable, by its ending (`ENDINGS`).  A file that
        is there is replaced, at once when the new one is complete.
    dataset_types, collections : sequence of `str`, optional
        As for `obscore_table`.

    Returns
    -------
    count : `int`
        How many rows were written.

    Raises
    ------
    FileFormatError
        Raised if the ending is none of them, or the configuration cannot be read.
    """
    path = os.fspath(place_text(path))
    ending = os.path.splitext(path)[1].lower()
    if ending not in ENDINGS:
        raise FileFormatError(f"{path}: a file of ObsCore ends in {', '.join(ENDINGS)}")
    rows = obscore_table(butler, dataset_types=dataset_types, collections=collections)
    part = f"{path}.part"
    try:
        _write(rows, part, ending)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.unlink(part)
    return int(rows.num_rows)


def _in_full(root: str, url: str | None) -> str | None:
    if url is None or "://" in url:
        return url
    if os.path.isabs(url):
        return f"file://{url}"
    return posixpath.join(root if "://" in root else f"file://{os.path.abspath(root)}", url)


def _write(rows: pa.Table, path: str, ending: str) -> None:
    import pyarrow as pa
    from pyarrow import csv, parquet

    if ending == ".parquet":
        fields = [
            pa.field(f.name, f.type, metadata={"unit": c.unit, "ucd": c.ucd, "utype": f"obscore:{c.utype}"})
            for f, c in zip(rows.schema, OBSCORE_COLUMNS, strict=True)
        ]
        parquet.write_table(pa.table(rows.columns, schema=pa.schema(fields)), path)
    elif ending == ".csv":
        csv.write_csv(rows, path)
    else:
        formats = {".ecsv": "ascii.ecsv", ".fits": "fits"}
        table = _astropy_table(rows)
        if ending in formats:
            table.write(path, format=formats[ending], overwrite=True)
        else:
            _write_votable(table, path)


def _write_votable(table: Table, path: str) -> None:
    """VOTable with the frames that positions and times are in."""
    from astropy.io.votable import from_table
    from astropy.io.votable.tree import CooSys, TimeSys

    file = from_table(table)
    resource = file.resources[0]
    config = {"version_1_4_or_later": True}  # TIMESYS came with that version
    resource.coordinate_systems.append(CooSys(ID="ICRS", system="ICRS", config=config))
    resource.time_systems.append(
        TimeSys(ID="UTC", timeorigin="MJD-origin", timescale="UTC", refposition="TOPOCENTER", config=config)
    )
    frames = {"s_ra": "ICRS", "s_dec": "ICRS", "s_region": "ICRS", "t_min": "UTC", "t_max": "UTC"}
    for field in resource.tables[0].fields:
        field.ref = frames.get(field.name)
    file.to_xml(path)


def _astropy_table(rows: pa.Table) -> Table:
    """Masked columns with their units and UCDs."""
    import numpy as np
    from astropy.table import MaskedColumn, Table

    kinds = {"VARCHAR": "", "INTEGER": np.int32(0), "BIGINT": np.int64(0), "DOUBLE": np.float64(0)}
    table = Table(masked=True)
    for column, info in zip(rows.columns, OBSCORE_COLUMNS, strict=True):
        empty = kinds[info.type]
        xtype = {"xtype": "adql:REGION"} if info.name == "s_region" else {}
        values = column.to_pylist()
        data = np.array([empty if v is None else v for v in values], dtype=np.asarray(empty).dtype.char)
        table[info.name] = MaskedColumn(
            data,
            mask=[v is None for v in values],
            unit=info.unit or None,
            meta={"ucd": info.ucd, "utype": f"obscore:{info.utype}", **xtype},
        )
    return table
