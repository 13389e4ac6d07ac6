# SPDX-License-Identifier: BSD-3-Clause
"""Ingest a reference catalogue: one dataset for each pixel of the sky, in one commit.

Files are read in batches and rows are sorted by pixel on disk, so that neither the
catalogue nor its largest file need fit in memory.  The pixels may be of any kind and
level, whatever the repository's common level is.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebutler.collections.collection import CollectionType
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.dataset_type import DatasetType
from lakebutler.datasets.file_dataset import FileDataset
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.errors import (
    CollectionTypeError,
    ConflictingDefinitionError,
    FileFormatError,
    MissingCollectionError,
)
from lakebutler.instruments.refcats.catalogue_file import catalogue_files, read_batches
from lakebutler.instruments.refcats.naming import DEFAULT_PIXELS, REFCATS_CHAIN, refcat_run, sky_pixels
from lakebutler.instruments.refcats.positions import (
    PositionColumns,
    find_positions,
    pixel_index,
    positions_deg,
)
from lakebutler.instruments.refcats.shards import Shards
from lakebutler.progress import NullProgress, Progress

if TYPE_CHECKING:
    import pyarrow as pa

    from lakebutler.butler.butler import Butler

__all__ = ["RefcatReport", "ingest_refcat"]


@dataclass(frozen=True, slots=True)
class RefcatReport:
    """What became of a catalogue.

    Attributes
    ----------
    name, pixels, run : `str`
        The catalogue, what it is cut by, and where it is.
    files : `int`
        Files that were read.
    rows : `int`
        Rows that are in the repository now.
    shards : `int`
        Datasets that they are in.
    left_out : `int`
        Rows without a position.
    replaced : `int`
        Datasets of an earlier ingest that are no longer in the run.
    """

    name: str
    pixels: str
    run: str
    files: int
    rows: int
    shards: int
    left_out: int = 0
    replaced: int = 0


def ingest_refcat(
    butler: Butler,
    name: str,
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    pixels: str = DEFAULT_PIXELS,
    ra: str | None = None,
    dec: str | None = None,
    units: str | None = None,
    storage_class: str = "ArrowAstropy",
    update: bool = False,
    skip_invalid: bool = False,
    scratch: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> RefcatReport:
    """Cut a catalogue into pixels of the sky and put it into a repository.

    Parameters
    ----------
    butler : `Butler`
        A writeable repository.
    name : `str`
        What the catalogue is called; its dataset type.  Its run is ``refcats/<name>``,
        which becomes a member of the chain ``refcats``.
    paths : `str`, path-like or iterable of them
        Files (Parquet, FITS, ECSV), or directories of such files; all with the same
        columns.
    pixels : `str`, optional
        What to cut by: ``htm7``, ``healpix5`` and so on.
    ra, dec : `str`, optional
        Columns of positions; see `find_positions` for what is found by itself.
    units : `str`, optional
        Their unit: ``deg``, ``rad`` or ``hourangle``.
    storage_class : `str`, optional
        A storage class of tables that is kept as Parquet.
    update : `bool`, optional
        Replace the catalogue if it is there: all its datasets, in the same commit.
    skip_invalid : `bool`, optional
        Leave out rows without a position, instead of refusing the file.
    scratch : `str` or path-like, optional
        Directory for temporary files, about the size of the catalogue; by default that of
        the system.
    progress : `Progress`, optional
        Told of files and shards.

    Returns
    -------
    report : `RefcatReport`
        What was done.

    Raises
    ------
    FileFormatError
        Raised if a file cannot be read, has other columns than the first, a position that
        is none, or there is no row at all.
    ConflictingDefinitionError
        Raised if the catalogue is there, or cut otherwise.
    DimensionNameError
        Raised if there are no such pixels.
    """
    watch = progress or NullProgress()
    dimension = sky_pixels(butler.dimensions, pixels)
    kind = DatasetType(name, (dimension.name,), storage_class, universe=butler.dimensions)
    if "parquet" not in kind.storageClass.formatters:
        raise FileFormatError(f"storage class {storage_class!r} is not kept as Parquet")
    if scratch is not None and not os.path.isdir(scratch):
        raise FileFormatError(f"there is no directory {os.fspath(scratch)} for temporary files")
    files = catalogue_files([paths] if isinstance(paths, str | os.PathLike) else paths)
    old = _check_place(butler, kind, update=update)
    with tempfile.TemporaryDirectory(prefix="lakebutler-refcat-", dir=scratch) as place:
        shards = Shards(place)
        reading = _Reading(dimension, ra, dec, units, skip_invalid=skip_invalid)
        watch.start("reading", len(files))
        for path in files:
            for batch in read_batches(path):
                shards.add(*reading.take(batch, path))
            watch.advance()
        watch.finish()
        if not shards.rows:
            raise FileFormatError(f"{files[0]}: no row with a position" + " in any file" * (len(files) > 1))
        written = _write(shards, kind, os.path.join(place, "shards"), reading.schema(), watch)
        _commit(butler, kind, written, old, f"{name}: {shards.rows} rows of {len(files)} files")
    return RefcatReport(
        name, pixels, refcat_run(name), len(files), shards.rows, len(written), reading.left_out, len(old)
    )


def _check_place(butler: Butler, kind: DatasetType, *, update: bool) -> Sequence[DatasetRef]:
    """What is in the run; refuse what cannot be done before anything is read."""
    butler.repository.session.require_writeable("ingest a catalogue")
    run, registry = refcat_run(kind.name), butler.registry
    there = _is(butler, run, CollectionType.RUN)
    _is(butler, REFCATS_CHAIN, CollectionType.CHAINED)
    known = [t for t in registry.queryDatasetTypes(kind.name) if t.name == kind.name]
    if known and known[0] != kind:
        raise ConflictingDefinitionError(
            f"{kind.name} is registered with {_said(known[0])}, not with {_said(kind)}",
            hint="give the catalogue another name, or the same pixels and storage class",
        )
    if not known or not there:
        return ()
    old = butler.query_datasets(kind.name, run, explain=False, limit=None)
    if old and not update:
        raise ConflictingDefinitionError(
            f"catalogue {kind.name!r} is there: run {run} has {len(old)} datasets",
            hint="--update (in Python update=True) replaces them",
        )
    return old


def _is(butler: Butler, collection: str, wanted: CollectionType) -> bool:
    """Whether there is this collection; it must be of this type."""
    try:
        found = butler.collections.get_info(collection).type
    except MissingCollectionError:
        return False
    if found is not wanted:
        raise CollectionTypeError(f"{collection!r} is a {found.name} collection, no {wanted.name} one")
    return True


def _said(kind: DatasetType) -> str:
    return f"{', '.join(kind.dimensions.required) or 'no dimension'} and {kind.storageClass_name}"


class _Reading:
    """Batches of rows, brought to the columns of the first, with their pixels."""

    def __init__(
        self, dimension: Any, ra: str | None, dec: str | None, units: str | None, *, skip_invalid: bool
    ) -> None:
        self._dimension = dimension
        self._asked: dict[str, str | None] = {"ra": ra, "dec": dec, "units": units}
        self._skip = skip_invalid
        self._first: tuple[str, pa.Schema, PositionColumns] | None = None
        self._row = ("", 0)
        self.left_out = 0

    def schema(self) -> pa.Schema:
        """Columns of the shards; their metadata say which are the positions."""
        assert self._first is not None
        return self._first[2].write(self._first[1])

    def take(self, batch: pa.Table, path: str) -> tuple[pa.Table, Any]:
        """Give rows and their pixels."""
        import numpy as np
        import pyarrow as pa

        if self._first is None:
            self._first = path, batch.schema, find_positions(batch.schema, path, **self._asked)
        origin, schema, columns = self._first
        if not batch.schema.equals(schema, check_metadata=True):
            batch = _conformed(batch, schema, path, origin)
        before = self._row[1] if self._row[0] == path else 0
        self._row = path, before + batch.num_rows
        ra, dec = positions_deg(batch, columns)
        good = np.isfinite(ra)
        bad = int((~good).sum())
        if bad and not self._skip:
            first = int(np.argmin(good))
            values = [batch.column(c)[first].as_py() for c in (columns.ra, columns.dec)]
            raise FileFormatError(
                f"{path}: row {before + first} is nowhere on the sky: {columns.ra} {values[0]}, "
                f"{columns.dec} {values[1]} ({columns.ra_unit}, {columns.dec_unit})",
                hint="--units says in which unit positions are; --skip-invalid leaves such rows out",
            )
        if bad:
            self.left_out += bad
            batch, ra, dec = batch.filter(pa.array(good)), ra[good], dec[good]
        return batch, pixel_index(self._dimension, ra, dec)


def _conformed(batch: pa.Table, schema: pa.Schema, path: str, origin: str) -> pa.Table:
    """Rows with the columns of the first file; their order and notes may differ."""
    missing = [n for n in schema.names if n not in batch.column_names]
    more = [n for n in batch.column_names if n not in schema.names]
    if missing or more:
        what = f"lacks column {missing[0]!r}" if missing else f"has a further column {more[0]!r}"
        raise FileFormatError(f"{path}: {what} compared with {origin}")
    batch = batch.select(schema.names)
    for mine, first in zip(batch.schema, schema, strict=True):
        units = [
            (field.metadata or {}).get(b"unit", b"").decode("utf-8", "replace") for field in (mine, first)
        ]
        if mine.type != first.type or units[0] != units[1]:
            said = [f"{field.type} {unit}".rstrip() for field, unit in zip((mine, first), units, strict=True)]
            raise FileFormatError(f"{path}: column {mine.name!r} is {said[0]}, but {said[1]} in {origin}")
    return batch.cast(schema)


def _write(
    shards: Shards, kind: DatasetType, place: str, schema: pa.Schema, watch: Progress
) -> list[FileDataset]:
    """Write the shards as Parquet, and say which dataset each is."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    os.mkdir(place)
    # Numbers hardly repeat in a small file: dictionaries of them cost time and space.
    words = [field.name for field in schema if pa.types.is_string(field.type)] or False
    run, (dimension,) = refcat_run(kind.name), kind.dimensions.required
    written = []
    watch.start("writing", len(shards))
    for pixel, rows in shards:
        path = os.path.join(place, f"{pixel}.parquet")
        pq.write_table(rows.cast(schema), path, compression="zstd", use_dictionary=words)
        data_id = DataCoordinate.standardize({dimension: pixel}, dimensions=kind.dimensions)
        written.append(FileDataset(path, DatasetRef(kind, data_id, run)))
        watch.advance()
    watch.finish()
    return written


def _commit(
    butler: Butler, kind: DatasetType, files: Sequence[FileDataset], old: Sequence[DatasetRef], message: str
) -> None:
    """Write datasets, run and chain, and take out what they replace: one commit."""
    run = refcat_run(kind.name)
    note = butler.repository.session.note
    with butler.transaction(message=note or message):
        butler.registry.registerDatasetType(kind)
        butler.collections.register(run, CollectionType.RUN, "reference catalogue")
        butler.collections.register(REFCATS_CHAIN, CollectionType.CHAINED, "all reference catalogues")
        if run not in butler.collections.get_info(REFCATS_CHAIN).children:
            butler.collections.extend_chain(REFCATS_CHAIN, run)
        if old:
            butler.pruneDatasets(old, disassociate=True, unstore=True, purge=True)
        butler.ingest(*files, transfer="move")
