# SPDX-License-Identifier: BSD-3-Clause
"""What `Butler.export` yields: say what is to be exported; it is written at the end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lakebutler.butler.exchange.export_records import (
    by_name,
    dataset_rows,
    find_records,
    keys_of_data_ids,
    keys_of_table,
)
from lakebutler.butler.exchange.import_api import check_format
from lakebutler.butler.exchange.import_bundle import Bundle, Collection
from lakebutler.butler.exchange.import_files import Target, make_refs
from lakebutler.butler.exchange.parts import IncomingPart, is_absolute, part_ref, relocated
from lakebutler.butler.retrieve import retrieve_artifacts
from lakebutler.collections.collection import CollectionType
from lakebutler.config import normalise_root, place_text
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datasets.file_dataset import FileDataset
from lakebutler.datasets.stored_parts import StoredPart, is_parts, join_parts, parts_of
from lakebutler.datastore.paths import file_uri
from lakebutler.datastore.records import FileRecord
from lakebutler.dimensions.coordinate import DataCoordinate
from lakebutler.dimensions.elements import DimensionElement
from lakebutler.dimensions.records import DimensionRecord
from lakebutler.errors import (
    DatasetNotFoundError,
    DimensionValueError,
    RepositoryExistsError,
    StorageError,
    known_names,
)
from lakebutler.registry import collections
from lakebutler.registry.dataset_rows import FILE_COLUMNS
from lakebutler.registry.schema import DatasetLayout

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["RepoExportContext", "export_context"]

_MODES = ("auto", "copy", "direct", "hardlink", "link", "relsymlink", "symlink")

Rewrite = Callable[[FileDataset], FileDataset]


class RepoExportContext:
    """What is to be exported; made by `Butler.export`.

    Parameters
    ----------
    target : `Target`
        The repository.
    directory : `str` or `None`
        Where files go.
    transfer : `str` or `None`
        How.
    """

    def __init__(self, target: Target, directory: str | None, transfer: str | None) -> None:
        self._target = target
        self._registry = target.registry
        self._snapshot = target.registry.snapshot  # one state, whatever others do meanwhile
        self._directory = directory
        self._transfer = transfer
        self._bundle = Bundle()
        self._done: set[int] = set()
        self.made: list[str] = []

    def saveCollection(self, name: str) -> None:
        """Export a collection, with what it says of the datasets that are exported.

        Parameters
        ----------
        name : `str`
            The collection.  Neither its datasets nor the children of a chain come with it.

        Raises
        ------
        MissingCollectionError
            Raised if there is none of this name.
        """
        info = collections.collection_info(self._snapshot, name)
        self._bundle.collections[name] = Collection(info.type, info.doc or None, tuple(info.children))

    def saveDimensionData(
        self, element: str | DimensionElement, records: Iterable[Mapping[str, Any] | DimensionRecord]
    ) -> None:
        """Export dimension records.

        Parameters
        ----------
        element : `str` or `DimensionElement`
            Of which element.
        records : iterable of `DimensionRecord` or mapping
            The records, or their values.

        Raises
        ------
        DimensionValueError
            Raised if a record belongs to another element.
        """
        found = self._element(element)
        made = []
        for record in records:
            if not isinstance(record, DimensionRecord):
                record = found.RecordClass(**record)
            elif record.definition != found:
                raise DimensionValueError(f"a {record.definition.name} record is no {found.name} record")
            made.append(record)
        self._keep({found.name: made})

    def saveDataIds(
        self,
        dataIds: Iterable[DataCoordinate],
        *,
        elements: Iterable[str | DimensionElement] | None = None,
    ) -> None:
        """Export the dimension records that data IDs lead to.

        Parameters
        ----------
        dataIds : iterable of `DataCoordinate`
            Data IDs; they need not be expanded.
        elements : iterable of `str` or `DimensionElement`, optional
            Only records of these; all by default.
        """
        self._keep(find_records(self._snapshot, self._registry.universe, keys_of_data_ids(dataIds)), elements)

    def saveDatasets(
        self,
        refs: Iterable[DatasetRef],
        *,
        elements: Iterable[str | DimensionElement] | None = None,
        rewrite: Rewrite | None = None,
    ) -> None:
        """Export datasets, with their types, runs, dimension records and files.

        Parameters
        ----------
        refs : iterable of `DatasetRef`
            The datasets; of a component its whole.  Twice counts once.
        elements : iterable of `str` or `DimensionElement`, optional
            Only records of these; all by default.
        rewrite : callable, optional
            Takes a `FileDataset` and returns it changed: how the export is to refer to the file.

        Raises
        ------
        DatasetNotFoundError
            Raised if one is not there, or has no file.
        """
        given = [ref.makeCompositeRef() if ref.isComponent() else ref for ref in refs]
        fresh = [ref for ref in given if ref.id.int not in self._done]
        if not fresh:
            return
        keys: dict[str, set[tuple[Any, ...]]] = {}
        for layout, table in dataset_rows(self._snapshot, fresh).items():
            self._refuse_unstored(layout, table)
            for name in table.column("dataset_type").unique().to_pylist():
                self._bundle.types[name] = self._registry.types.get(self._snapshot, name)
            group = self._bundle.types[table.column("dataset_type")[0].as_py()].dimensions
            keys_of_table(keys, group, table)
            for run in table.column("run").unique().to_pylist():
                self.saveCollection(run)
            self._bundle.add_table("datasets", layout, self._with_files(layout, table, rewrite))
        self._keep(find_records(self._snapshot, self._registry.universe, keys), elements)
        self._done.update([ref.id.int for ref in fresh])

    def stored(self, refs: Iterable[DatasetRef]) -> list[DatasetRef]:
        """Choose the datasets that have files: only they can be exported.

        Parameters
        ----------
        refs : iterable of `DatasetRef`
            Some datasets.

        Returns
        -------
        stored : `list` [`DatasetRef`]
            Those of them with files, by the records; no disk is looked at.
        """
        import pyarrow.compute as pc

        given = list(refs)
        stored = set()
        for table in dataset_rows(self._snapshot, given).values() if given else ():
            has = pc.or_(pc.is_valid(table.column("path")), pc.is_valid(table.column("uri")))
            stored.update(table.filter(has).column("id").to_pylist())
        return [ref for ref in given if ref.id in stored]

    # ------------------------------------------------------------------- gathering

    def _element(self, element: str | DimensionElement) -> DimensionElement:
        return self._registry.universe[element if isinstance(element, str) else element.name]

    def _keep(
        self,
        records: Mapping[str, list[DimensionRecord]],
        elements: Iterable[str | DimensionElement] | None = None,
    ) -> None:
        chosen = records
        if elements is not None:
            chosen = by_name(records, [self._element(e).name for e in elements])
        for name, some in chosen.items():
            if not some:
                continue
            self._bundle.add_records(self._registry.universe[name], some)

    def _refuse_unstored(self, layout: DatasetLayout, table: pa.Table) -> None:
        import pyarrow.compute as pc

        lacking = pc.and_(pc.is_null(table.column("path")), pc.is_null(table.column("uri")))
        if pc.any(lacking).as_py():
            row = table.filter(lacking).slice(0, 1).to_pylist()[0]
            shown = ", ".join(f"{name}={row[name]!r}" for name in layout.dimensions)
            raise DatasetNotFoundError(
                f"{row['dataset_type']} ({shown}) in {row['run']!r} has no file: it cannot be exported",
                hint="export datasets that are stored",
            )

    def _with_files(self, layout: DatasetLayout, table: pa.Table, rewrite: Rewrite | None) -> pa.Table:
        """Say of each file where the export has it."""
        columns = [table.column(name).to_pylist() for name in ("path", "uri")]
        places = [path if path is not None else uri for path, uri in zip(*columns, strict=True)]
        if self._transfer == "direct":
            places = [
                uri if path is None else self._address(path) for path, uri in zip(*columns, strict=True)
            ]
        elif self._transfer is not None:
            places = self._copied(layout, table)
        formatters = table.column("formatter").to_pylist()
        if rewrite is not None:
            places, formatters = self._rewritten(layout, table, places, formatters, rewrite)
        return _set_files(table, places, formatters)

    def _address(self, path: str) -> str:
        if is_parts(path):
            return relocated(path, lambda part: part.uri or self._address(part.path or ""))
        place = f"{self._target.repository.root}/{path}"
        return place if "://" in place else file_uri(place)

    def _copied(self, layout: DatasetLayout, table: pa.Table) -> list[str]:
        """Bring the files to the export's directory, verified."""
        assert self._directory is not None
        refs = make_refs(layout, table, None, self._bundle.types)
        records = [
            FileRecord(*row) for row in zip(*(table.column(n).to_pylist() for n in FILE_COLUMNS), strict=True)
        ]
        first: dict[tuple[str | None, str | None], int] = {}
        for record in records:
            for file in record.files:
                first.setdefault((file.path, file.uri), len(first))
        mode = "copy" if self._transfer == "auto" else self._transfer
        made = retrieve_artifacts(
            self._target.repository.datastore,
            zip(refs, records, strict=True),
            self._directory,
            transfer=mode or "copy",
            preserve_path=True,
        )
        prefix = self._directory.rstrip("/") + "/"
        names = [place.ospath if place.isLocal else str(place) for place in made]
        self.made += names
        relative = [name.removeprefix(prefix) for name in names]

        def place(file: FileRecord | StoredPart) -> str:
            return relative[first[file.path, file.uri]]

        return [
            place(record) if record.parts is None else relocated(record.path or record.uri or "", place)
            for record in records
        ]

    def _rewritten(
        self,
        layout: DatasetLayout,
        table: pa.Table,
        places: list[str],
        formatters: list[str],
        rewrite: Rewrite,
    ) -> tuple[list[str], list[str]]:
        refs = make_refs(layout, table, None, self._bundle.types)
        files: dict[tuple[str, str], list[int]] = {}
        for i, key in enumerate(zip(places, formatters, strict=True)):
            files.setdefault(key, []).append(i)
        for (place, formatter), rows in files.items():
            if is_parts(place):
                for i in rows:
                    places[i] = _rewritten_parts(
                        place, refs[i], table.column("storage_class")[i].as_py(), rewrite
                    )
                continue
            changed = rewrite(FileDataset(place, [refs[i] for i in rows], formatter))
            for i in rows:
                places[i] = changed.location()
                formatters[i] = changed.formatter if changed.formatter is not None else formatter
        return places, formatters

    # --------------------------------------------------------------------- writing

    def finish(self) -> Bundle:
        """Gather memberships.

        Returns
        -------
        bundle : `Bundle`
            All that is to be written; its tables have the files as the export refers to them.
        """
        names = sorted(
            name
            for name, collection in self._bundle.collections.items()
            if collection.kind in (CollectionType.TAGGED, CollectionType.CALIBRATION)
        )
        if names:
            for layout, table in self._bundle.datasets.items():
                columns = [column.name for column in layout.schema.columns]
                found = self._snapshot.match(
                    layout.table, ("id",), table.select(["id"]), select=columns, where={"collection": names}
                )
                self._bundle.add_table("members", layout, found.select(columns).cast(layout.schema.arrow))
        return self._bundle


def _rewritten_parts(text: str, ref: DatasetRef, composite: str, rewrite: Rewrite) -> str:
    """Let the caller say how the export refers to each file of a dataset in parts."""
    moved = {}
    for name, part in parts_of(text).items():
        which = IncomingPart(name, part.storage_class, composite)
        place = part.path if part.path is not None else part.uri
        changed = rewrite(FileDataset(place, [part_ref(ref, which)], part.formatter))
        new, formatter = changed.location(), changed.formatter or part.formatter
        path, uri = (None, new) if is_absolute(new) else (new, None)
        moved[name] = part._replace(path=path, uri=uri, formatter=formatter)
    path, uri = join_parts(moved)
    return path or uri or ""


def _set_files(table: pa.Table, places: list[str], formatters: list[str]) -> pa.Table:
    """Absolute places into ``uri``, relative ones into ``path``."""
    import pyarrow as pa

    absolute = [is_absolute(place) for place in places]
    columns = {
        "path": [None if a else p for p, a in zip(places, absolute, strict=True)],
        "uri": [p if a else None for p, a in zip(places, absolute, strict=True)],
        "formatter": formatters,
    }
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(values, pa.string()))
    return table


@contextlib.contextmanager
def export_context(
    target: Target,
    *,
    directory: str | os.PathLike[str] | None,
    filename: str | os.PathLike[str] | None,
    format: str | None,
    transfer: str | None,
) -> Iterator[RepoExportContext]:
    """Gather an export, and write it when the block ends well.

    Parameters
    ----------
    target, directory, filename, format, transfer
        As for `Butler.export`.

    Yields
    ------
    context : `RepoExportContext`
        To be told what is wanted.
    """
    directory, filename = place_text(directory), place_text(filename)
    chosen = check_format(format, filename)
    if transfer is not None and transfer not in _MODES:
        raise StorageError(
            f"files cannot be exported with transfer={transfer!r}",
            hint=known_names(transfer, _MODES, what="modes"),
        )
    if transfer == "direct" and target.repository.datastore.files.in_one_file:
        raise StorageError(
            "the files of a repository in one file have no addresses of their own",
            hint="use transfer='copy'",
        )
    if transfer not in (None, "direct") and directory is None:
        raise StorageError(f"transfer={transfer!r} needs a directory", hint="pass directory=")
    base = None if directory is None else normalise_root(directory)
    name = str(os.fspath(filename)) if filename is not None else f"export.{chosen}"
    place = f"{base}/{name}" if base is not None and "://" not in name and not os.path.isabs(name) else None
    place = place or normalise_root(name)
    if "://" not in place and os.path.lexists(place) and not (chosen == "yaml" and os.path.isfile(place)):
        raise RepositoryExistsError(f"{place} is there already", hint="choose another filename")
    context = RepoExportContext(target, base, transfer)
    try:
        yield context
        bundle = context.finish()
        if chosen == "parquet":
            from lakebutler.butler.exchange.export_parquet import write_parquet_export

            write_parquet_export(place, target.registry.universe, bundle)
        else:
            _write_yaml(place, target, bundle)
    except BaseException:
        for name in context.made:
            if "://" not in name:
                with contextlib.suppress(OSError):
                    os.unlink(name)
        raise


def _write_yaml(place: str, target: Target, bundle: Bundle) -> None:
    """Write the file beside its name first, so that it is whole or not there."""
    from lakebutler.butler.exchange.export_yaml import yaml_lines

    lines = yaml_lines(
        target.registry.universe,
        bundle.records,
        bundle.collections,
        bundle.types,
        bundle.datasets,
        bundle.members,
    )
    if "://" in place:
        import fsspec

        with fsspec.open(place, "w", encoding="utf-8") as stream:
            stream.writelines(lines)
        return
    parent, _, name = place.rpartition("/")
    partial = f"{parent}/.{name}.{os.getpid()}.part"
    try:
        os.makedirs(parent or "/", exist_ok=True)
        with open(partial, "w", encoding="utf-8") as stream:
            stream.writelines(lines)
        os.replace(partial, place)
    except OSError as error:
        raise StorageError(f"cannot write {place}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
