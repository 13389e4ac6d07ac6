# SPDX-License-Identifier: BSD-3-Clause
"""Looking over a whole repository: its registry, then the file of every dataset."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from lakebutler.butler.repository import Repository, open_repository
from lakebutler.config import has_repository, normalise_root, not_a_repository
from lakebutler.datasets.stored_parts import paths_of, with_parts
from lakebutler.datastore.files import CHUNK, Files
from lakebutler.datastore.paths import ARTIFACTS, Allowed, stored_path_problem
from lakebutler.datastore.records import FileRecord
from lakebutler.errors import ButlerError, RepositoryCorruptError, RepositoryError
from lakebutler.lake.container.reader import check_members
from lakebutler.lake.engine import run
from lakebutler.lake.lake import Lake
from lakebutler.lake.references import find_references
from lakebutler.lake.repair import RepairPlan, repair_registry
from lakebutler.lake.repair import plan_repair as find_repairs
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.storage import FileInfo, Storage, open_storage
from lakebutler.lake.storage.file import FileStorage
from lakebutler.lake.verify import Finding, RegistryReport, verify_registry
from lakebutler.progress import NullProgress, Progress
from lakebutler.registry.schema import DATASET_PREFIX
from lakebutler.registry.views import repository_views

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "DatasetReport",
    "Report",
    "StoredFile",
    "files_of_rows",
    "plan_repair",
    "repair",
    "verify",
    "verify_datasets",
]

_IN_MEMORY = 4 << 20
_REMOTE_AT_ONCE = 16
_AT_ONCE = 256
_FILE = ("path", "size", "checksum", "dataset_type", "run", "collection")


class StoredFile(NamedTuple):
    """A file inside the repository, as its datasets record it.

    Attributes
    ----------
    path : `str`
        Relative to the root.
    size : `int`
        Bytes.
    checksum : `str` or `None`
        ``sha256:<hex>``, where one was recorded.
    datasets : `int`
        How many datasets are in it.
    dataset_type, run : `str`
        Of one of them.
    """

    path: str
    size: int
    checksum: str | None
    datasets: int
    dataset_type: str
    run: str


@dataclass
class DatasetReport:
    """What a look at the files of datasets has found.

    Parameters
    ----------
    findings : `list` [`Finding`]
        Damage and left-overs.
    files, datasets : `int`
        How many were looked at.
    hashed, bytes : `int`
        How many files were read to the end, and how much was.
    unproved : `int`
        Files for which no checksum was recorded: only their size is known.
    outside : `int`
        Datasets whose files lie outside of the repository; only their size is looked
        at, where the user allows that.
    """

    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    datasets: int = 0
    hashed: int = 0
    bytes: int = 0
    unproved: int = 0
    outside: int = 0

    def add(self, kind: str, object_: str, detail: str, *, damage: bool = True) -> None:
        """Note something."""
        self.findings.append(Finding(kind, object_, detail, damage))


@dataclass(frozen=True)
class Report:
    """What a look at a repository has found.

    Parameters
    ----------
    registry : `RegistryReport`
        About the registry.
    datasets : `DatasetReport` or `None`
        About the datasets; `None` if the registry cannot be opened.
    """

    registry: RegistryReport
    datasets: DatasetReport | None

    @property
    def findings(self) -> list[Finding]:
        """Damage and left-overs."""
        return [*self.registry.findings, *(self.datasets.findings if self.datasets else ())]

    @property
    def damaged(self) -> bool:
        """Whether anything is damaged."""
        return any(finding.damage for finding in self.findings)


def verify(
    root: str | os.PathLike[str],
    *,
    files: bool = True,
    expect: str | None = None,
    as_of: int | str | datetime | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Look over a whole repository; nothing is changed.

    Parameters
    ----------
    root : `str` or path-like
        The repository.
    files : `bool`, optional
        Whether to read the files of datasets too; otherwise only their sizes are
        looked at.
    expect : `str`, optional
        What the digest of the newest version has to be.
    as_of : `int`, `str` or `datetime.datetime`, optional
        The version whose datasets are looked at; the newest by default.
    storage_options : mapping, optional
        Options for fsspec where the root is a URL.
    progress : `Progress`, optional
        Told of every file.

    Returns
    -------
    report : `Report`
        What was found; damage does not raise.

    Raises
    ------
    NotARepositoryError
        Raised if there is no repository.
    """
    place = normalise_root(root)
    if not has_repository(place, storage_options):
        raise not_a_repository(place)
    storage = open_storage(place, storage_options=storage_options)
    registry = verify_registry(storage, expect=expect)
    _check_container(storage, registry)
    try:
        repository = open_repository(place, writeable=False, as_of=as_of, storage_options=storage_options)
    except RepositoryError as error:
        if not any(finding.damage for finding in registry.findings):
            registry.add("damaged registry", place, error.message)
        return Report(registry, None)
    try:
        found = verify_datasets(repository, hashes=files, whole=registry.complete, progress=progress)
    except RepositoryError as error:
        registry.add("damaged registry", place, error.message)
        return Report(registry, None)
    finally:
        repository.close()
    return Report(registry, found)


def _check_container(storage: Storage, report: RegistryReport) -> None:
    """Compare the index of a local lake file with its members."""
    if not isinstance(storage, FileStorage) or storage.remote:
        return
    try:
        check_members(storage.container)
    except RepositoryError as error:
        report.add("damaged lake file", storage.url, error.message)


def plan_repair(
    root: str | os.PathLike[str], *, storage_options: Mapping[str, Any] | None = None
) -> RepairPlan:
    """Find out what `repair` would do; nothing is changed.

    Parameters
    ----------
    root : `str` or path-like
        The repository.
    storage_options : mapping, optional
        Options for fsspec where the root is a URL.

    Returns
    -------
    plan : `RepairPlan`
        Its steps, the newest version afterwards, and what only a copy can mend.

    Raises
    ------
    NotARepositoryError
        Raised if there is no repository.
    """
    return find_repairs(_storage_of(root, storage_options))


def repair(
    root: str | os.PathLike[str],
    plan: RepairPlan | None = None,
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> RepairPlan:
    """Bring a damaged registry back to a state that was committed.

    Hints and checkpoints are made anew.  Log entries behind a hole, or behind one that
    does not hold, are moved to ``registry/.damaged/``, so that the version before is the
    newest again.  Nothing is removed, and nobody else may be writing meanwhile.  Datasets
    and data files that are damaged have to come from a copy.

    Parameters
    ----------
    root : `str` or path-like
        The repository.
    plan : `RepairPlan`, optional
        What was agreed to; if something else would have to be done by now, nothing is.
    storage_options : mapping, optional
        Options for fsspec where the root is a URL.

    Returns
    -------
    plan : `RepairPlan`
        What was done.

    Raises
    ------
    NotARepositoryError
        Raised if there is no repository.
    RepositoryCorruptError
        Raised if the repository is not as it was when the plan was made, or has no version
        to go back to.
    """
    storage = _storage_of(root, storage_options)
    done = repair_registry(storage, plan)
    try:
        lake = Lake.open(storage, views=repository_views)
    except RepositoryError:
        return done  # what is left cannot be mended here
    lake.rewrite_views()
    lake.close()
    return done


def _storage_of(root: str | os.PathLike[str], storage_options: Mapping[str, Any] | None) -> Storage:
    place = normalise_root(root)
    if not has_repository(place, storage_options):
        raise not_a_repository(place)
    return open_storage(place, storage_options=storage_options)


def verify_datasets(
    repository: Repository, *, hashes: bool = True, whole: bool = True, progress: Progress | None = None
) -> DatasetReport:
    """Look at the files of all datasets.

    Parameters
    ----------
    repository : `Repository`
        The open repository.
    hashes : `bool`, optional
        Whether to read them.
    whole : `bool`, optional
        Whether the registry is whole, so that it can be told which files nothing refers
        to.
    progress : `Progress`, optional
        Told of every file.
    """
    report, snapshot, files = DatasetReport(), repository.session.snapshot, repository.datastore.files
    there = {info.path: info for info in files.walk(ARTIFACTS)}
    sound = []
    rows = _rows(snapshot, _FILE)
    report.datasets = _count(rows) if rows is not None else 0
    for stored in files_of_rows(snapshot, [rows] if rows is not None else []):
        report.files += 1
        problem = _problem(stored, there, files)
        if problem is not None:
            report.add(problem[0], stored.path, f"{problem[1]} ({_whose(stored)})")
        elif stored.checksum is None:
            report.unproved += 1
        else:
            sound.append(stored)
    if hashes:
        _check_contents(report, sound, files, progress or NullProgress())
    _check_outside(report, repository, snapshot)
    if whole:
        known = find_references(
            repository.lake.storage, "path", spread=partial(paths_of, strict=False)
        ).values
        for path, info in sorted(there.items()):
            if path not in known:
                report.add("orphan", path, f"no dataset has its {info.size} bytes", damage=False)
    return report


def files_of_rows(snapshot: Snapshot, rows: Sequence[pa.Table]) -> Iterator[StoredFile]:
    """Yield the files inside a repository that rows of its dataset tables refer to, by path.

    Parameters
    ----------
    snapshot : `Snapshot`
        What is read, for messages.
    rows : sequence of `pyarrow.Table`
        Rows, with the columns of files.
    """
    import pyarrow as pa

    if not rows:
        return
    joined = pa.concat_tables([with_parts(data.select(list(_FILE)), strict=False) for data in rows])
    sql = (
        "SELECT path, size, checksum, count(*), min(dataset_type), min(run) FROM rows "
        "WHERE path IS NOT NULL AND collection = run GROUP BY path, size, checksum ORDER BY path"
    )
    found = run(snapshot, sql, {"rows": joined})
    for batch in found.to_batches(max_chunksize=10_000):
        yield from map(StoredFile._make, zip(*(column.to_pylist() for column in batch.columns), strict=True))


def _rows(snapshot: Snapshot, columns: tuple[str, ...]) -> pa.Table | None:
    import pyarrow as pa

    names = [table for table in snapshot.schemas() if table.startswith(DATASET_PREFIX)]
    for table in names:
        if not set(columns) <= set(snapshot.schemas()[table].names):
            raise RepositoryCorruptError(f"the repository's table {table!r} is none of datasets")
    tables = [snapshot.scan(table, columns) for table in names]
    return pa.concat_tables(tables) if tables else None


def _count(rows: pa.Table, column: str = "path") -> int:
    """How many datasets have something in a column; memberships do not count."""
    import pyarrow.compute as pc

    own = pc.and_(pc.is_valid(rows.column(column)), pc.equal(rows.column("collection"), rows.column("run")))
    return int(pc.sum(own).as_py() or 0)


def _whose(stored: StoredFile) -> str:
    more = f" and {stored.datasets - 1} more" if stored.datasets > 1 else ""
    return f"{stored.dataset_type} in {stored.run}{more}"


def _problem(stored: StoredFile, there: Mapping[str, FileInfo], files: Files) -> tuple[str, str] | None:
    """Say what is wrong with a file as far as can be told without reading it."""
    problem = stored_path_problem(stored.path)
    if problem is not None:
        return "bad path", problem
    try:
        size = there[stored.path].size if stored.path in there else files.size(stored.path)
    except (ButlerError, OSError) as error:
        return "unreadable file", getattr(error, "message", str(error))
    if size is None or size < 0:
        return "missing file", "it is not there"
    if size != stored.size:
        return "damaged file", f"it has {size} bytes, not {stored.size}"
    return None


def _check_contents(
    report: DatasetReport, sound: Iterable[StoredFile], files: Files, progress: Progress
) -> None:
    """Read files to the end, several at once, and compare their checksums."""
    waiting = list(sound)
    progress.start("reading files", len(waiting))
    local = files.local_path(waiting[0].path) is not None if waiting else True
    with ThreadPoolExecutor((os.cpu_count() or 1) if local else _REMOTE_AT_ONCE) as pool:
        for start in range(0, len(waiting), _AT_ONCE):
            some = waiting[start : start + _AT_ONCE]
            for stored, found in zip(some, pool.map(lambda s: _digest(files, s), some), strict=True):
                report.hashed += 1
                report.bytes += stored.size
                if found != stored.checksum:
                    kind, said = found if isinstance(found, tuple) else ("damaged file", f"found {found}")
                    detail = said if isinstance(found, tuple) else f"{said}, not {stored.checksum}"
                    report.add(kind, stored.path, f"{detail} ({_whose(stored)})")
            progress.advance(len(some))
    progress.finish()


def _digest(files: Files, stored: StoredFile) -> str | tuple[str, str]:
    """Return the checksum of a file, or how it cannot be read."""
    try:
        content = files.read(stored.path, _IN_MEMORY)
        if content.data is not None:
            return "sha256:" + hashlib.sha256(content.data).hexdigest()
        assert content.stream is not None
        digest = hashlib.sha256()
        try:
            while part := content.stream.read(CHUNK):
                digest.update(part)
        finally:
            content.stream.close()
            if content.temporary:
                with suppress(OSError):
                    os.unlink(content.path or "")
        return "sha256:" + digest.hexdigest()
    except FileNotFoundError:
        return "missing file", "it went while it was looked for"
    except (ButlerError, OSError) as error:
        return "unreadable file", getattr(error, "message", str(error))


def _check_outside(report: DatasetReport, repository: Repository, snapshot: Snapshot) -> None:
    """Look for the files that stayed outside, where the user allows it."""
    rows = _rows(snapshot, ("path", "uri", "size", "dataset_type", "run", "collection"))
    if rows is None:
        return
    outside = _count(rows, "uri")
    report.outside += outside
    report.datasets += outside
    rows = with_parts(rows, strict=False)
    sql = (
        "SELECT uri, size, min(dataset_type), min(run) FROM rows "
        "WHERE uri IS NOT NULL AND collection = run GROUP BY uri, size ORDER BY uri"
    )
    allowed, skipped = _allowed(repository), 0
    for row in run(snapshot, sql, {"rows": rows}).to_pylist():
        uri, size, dataset_type, run_name = row.values()
        record = FileRecord(None, uri, "", "", size, None)
        if not allowed.permits(uri):
            skipped += 1
        elif not repository.datastore.exists(record):
            report.add("missing file", uri, f"not there with {size} bytes ({dataset_type} in {run_name})")
    if skipped:
        detail = f"{skipped} files outside of the repository were not looked at: not allowed by this user"
        report.add("outside", repository.root, detail, damage=False)


def _allowed(repository: Repository) -> Allowed:
    given = repository.opening.allow_external
    if isinstance(given, bool):
        return Allowed(True if given else repository.trust.prefixes())
    return Allowed((*([given] if isinstance(given, str) else given), *repository.trust.prefixes()))
