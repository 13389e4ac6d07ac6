# SPDX-License-Identifier: BSD-3-Clause
"""Looking a registry over: the chain of commits, every file, every checkpoint.

Nothing is changed, and damage does not end the search: what lies behind it is
looked at as far as a checkpoint leads there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lakebutler.errors import ButlerError, NotARepositoryError, RepositoryError
from lakebutler.lake.checkpoint import checkpoint_lines, last_checkpoint, listed_checkpoints, read_checkpoint
from lakebutler.lake.entry import Action, AddFile, CreateTable, DataFile, DeleteFile, Entry, parse_entry
from lakebutler.lake.format import read_format
from lakebutler.lake.log import boundary
from lakebutler.lake.naming import FORMAT, LAST, LOG, dump, log_path, log_version
from lakebutler.lake.references import data_files, layer_files
from lakebutler.lake.segment import SegmentStore
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.state import Head, LakeState
from lakebutler.lake.storage import Storage
from lakebutler.lake.tags import tags

__all__ = ["Finding", "RegistryReport", "verify_registry"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Parameters
    ----------
    kind : `str`
        What sort: ``missing entry``, ``damaged entry``, ``broken chain``, ``missing
        file``, ``damaged file``, ``damaged checkpoint``, ``wrong checkpoint``, ``lost
        tag``, ``orphan`` ...
    object : `str`
        What it is about: a path, a tag.
    detail : `str`
        What is wrong with it.
    damage : `bool`
        False for what is only left over, and harmless.
    """

    kind: str
    object: str
    detail: str
    damage: bool = True


@dataclass
class RegistryReport:
    """What a look at a registry has found.

    Parameters
    ----------
    findings : `list` [`Finding`]
        Damage and left-overs, in the order in which they were met.
    first, head : `int`
        The oldest and the newest version that can be reached; -1 if none can.
    sha256 : `str`
        Digest of the newest version's entry: the root of the chain.
    entries, files, checkpoints, bytes : `int`
        How much was read.
    complete : `bool`
        Whether every version from the first to the head was read.
    """

    findings: list[Finding] = field(default_factory=list)
    first: int = -1
    head: int = -1
    sha256: str = ""
    entries: int = 0
    files: int = 0
    checkpoints: int = 0
    bytes: int = 0
    complete: bool = True

    def add(self, kind: str, object_: str, detail: str, *, damage: bool = True) -> None:
        """Note something."""
        self.findings.append(Finding(kind, object_, detail, damage))


def verify_registry(storage: Storage, *, expect: str | None = None) -> RegistryReport:
    """Look over a registry.

    Parameters
    ----------
    storage : `Storage`
        The repository.
    expect : `str`, optional
        What the digest of the newest version has to be.

    Raises
    ------
    lakebutler.errors.NotARepositoryError
        Raised if there is no repository.
    """
    report = RegistryReport()
    try:
        read_format(storage)
    except NotARepositoryError:
        raise
    except RepositoryError as error:
        report.add("damaged file", FORMAT, error.message)
    walk = _Walk(storage, report)
    walk.run()
    before = len(report.findings)
    _check_files(storage, report, walk.files)
    for path, detail in walk.stuck:
        if not any(f.damage for f in report.findings[before:]):
            report.add("damaged entry", path, detail)
    if walk.state is not None:
        for tag in tags(Snapshot(walk.state.head, walk.state)):
            _check_tag(walk, tag.name, tag.version, tag.sha256)
    if expect is not None and report.sha256 != expect:
        report.add("other history", f"version {report.head}", f"its digest is {report.sha256}, not {expect}")
    return report


class _Walk:
    """Goes along the log, from the oldest version to the newest."""

    def __init__(self, storage: Storage, report: RegistryReport) -> None:
        self.storage = storage
        self.report = report
        self.segments = SegmentStore(storage)
        self.edge = boundary(storage)
        self.files: dict[str, DataFile] = {}
        self.stuck: list[tuple[str, str]] = []
        self.digests: dict[int, str] = {}
        self.checkpoints: dict[int, list[str]] = {}
        for version, path in listed_checkpoints(storage):
            self.checkpoints.setdefault(version, []).append(path)
        self.state: LakeState | None = LakeState(self.segments) if self.edge < 0 else None

    def run(self) -> None:
        """Go along."""
        listed, strange = set(), []
        for info in self.storage.list(LOG):
            version = log_version(info.path)
            strange.append(info.path) if version is None else listed.add(version)
        for path in strange:
            self.report.add("orphan", path, "no log entry has such a name", damage=False)
        for version in sorted(v for v in listed if v <= self.edge):
            self.report.add("orphan", log_path(version), "an entry below the boundary", damage=False)
        for version in sorted(v for v in self.checkpoints if v <= self.edge):
            self._meet_checkpoints(version, None)
        last = max([-1, *listed, *self.checkpoints])
        if self.edge >= 0 and self.edge not in self.checkpoints:
            self.report.add("missing checkpoint", f"version {self.edge}", "the log goes on from it")
        previous = self.edge
        for version in sorted(v for v in listed | self.checkpoints.keys() if v > self.edge):
            self._note_hole(previous + 1, version if version in listed else version + 1, last)
            self._step(version, version in listed)
            previous = version
        if self.state is None or self.state.head.version < last:
            self.report.complete = False
        if self.state is not None:
            self.report.head, self.report.sha256 = self.state.head.version, self.state.head.sha256
        self._check_hint()

    def _note_hole(self, first: int, end: int, last: int) -> None:
        if first < end:
            many = f" and {end - first - 1} more after it" if end - first > 1 else ""
            self.report.add(
                "missing entry", log_path(first), f"it is not there{many}, but version {last} was made"
            )
            self.state = None

    def _step(self, version: int, listed: bool) -> None:
        before = self.state
        entry = self._entry(version) if listed else None
        if entry is not None and before is not None and before.head.version == version - 1:
            self.state = self._apply(before, entry)
        else:
            self.state = None
        self.report.complete &= self.state is not None
        self._meet_checkpoints(version, entry)

    def _entry(self, version: int) -> Entry | None:
        path = log_path(version)
        try:
            data = self.storage.read(path)
            self.report.entries += 1
            self.report.bytes += len(data)
            entry = parse_entry(data, version, self.storage.url)
        except FileNotFoundError:
            self.report.add("missing entry", path, "it went while it was looked for")
            return None
        except ButlerError as error:
            self.report.add("damaged entry", path, error.message)
            return None
        self.digests[version] = entry.sha256
        known = self.digests.get(version - 1)
        if known is not None and known != entry.header.prev_sha256:
            self.report.add("broken chain", path, f"it was made after another version {version - 1}")
        return entry

    def _apply(self, state: LakeState, entry: Entry) -> LakeState | None:
        if entry.header.time < state.head.time:
            self.report.add("broken chain", log_path(entry.version), "it is older than the one before")
        path = log_path(entry.version)
        try:
            actions = state.parse(entry)
        except ButlerError as error:
            if not any(f.object == path for f in self.report.findings):
                self.report.add("damaged entry", path, error.message)
            return None
        self.files.update((file.path, file) for file in _files_of(actions))
        try:
            state.apply(Head(entry.version, entry.txid, entry.sha256, entry.time), actions)
        except (ButlerError, KeyError) as error:
            # Most likely a data file that it needs is damaged; that is looked for later.
            self.stuck.append((path, getattr(error, "message", str(error))))
            return None
        if self.report.first < 0:
            self.report.first = entry.version
        return state

    def _meet_checkpoints(self, version: int, entry: Entry | None) -> None:
        """Compare the checkpoints of a version with what the log says; go on from one if it says nothing."""
        for path in self.checkpoints.get(version, ()):
            self.report.checkpoints += 1
            try:
                found = read_checkpoint(self.segments, version, path)
                folded = self.state if self.state is not None and self.state.head.version == version else None
                wrong = folded is not None and _content(found) != _content(folded)
            except (ButlerError, FileNotFoundError) as error:
                self.report.add("damaged checkpoint", path, getattr(error, "message", str(error)))
                continue
            if entry is not None and entry.sha256 != found.head.sha256:
                self.report.add("wrong checkpoint", path, f"it was made for another version {version}")
                continue
            if wrong:
                self.report.add("wrong checkpoint", path, "it is not what the log adds up to")
                continue
            self.files.update((file.path, file) for file in _files_in(found))
            self.digests.setdefault(version, found.head.sha256)
            if self.state is None and version >= self.edge:
                self.state = found
                self.report.first = version if self.report.first < 0 else self.report.first

    def _check_hint(self) -> None:
        hint = last_checkpoint(self.storage)
        if hint is not None and hint[1] not in self.checkpoints.get(hint[0], ()):
            self.report.add("stale hint", LAST, f"{hint[1]} is not there", damage=False)


def _check_tag(walk: _Walk, name: str, version: int, sha256: str) -> None:
    digest = walk.digests.get(version)
    if digest is None:
        walk.report.add("lost tag", name, f"nothing leads to version {version} any more")
    elif sha256 and digest != sha256:
        walk.report.add("lost tag", name, f"version {version} is not the one that was tagged")


def _files_of(actions: list[Action]) -> Iterator[DataFile]:
    for action in actions:
        if isinstance(action, AddFile | DeleteFile):
            yield action.file
        elif isinstance(action, CreateTable):
            yield action.empty


def _files_in(state: LakeState) -> Iterator[DataFile]:
    for layer in state.tables.values():
        yield from layer_files(layer, state.head.version)


def _content(state: LakeState) -> Any:
    """Return what a checkpoint of a state would say, in an order of its own."""
    first, *lines, _ = (json.loads(line) for line in checkpoint_lines(state))
    for table in first["tables"]:
        for part in ("files", "deletes"):
            table[part] = sorted(map(dump, table[part]))
        pairs = [
            dump([group["columns"], key, when])
            for group in table["tombstones"]
            for key, when in zip(group["keys"], group["versions"], strict=True)
        ]
        table["tombstones"] = sorted(pairs)
    rows = sorted(
        dump([line["table"], when, row]) for line in lines for when, some in line["rows"] for row in some
    )
    first["tables"] = sorted(first["tables"], key=lambda table: str(table["schema"]["name"]))
    first["state"] = sorted(map(dump, first["state"]))
    return first, rows


def _check_files(storage: Storage, report: RegistryReport, files: dict[str, DataFile]) -> None:
    """Read every data file, and name those that nothing refers to."""
    for path, file in sorted(files.items()):
        try:
            data = storage.read(path)
        except FileNotFoundError:
            report.add("missing file", path, f"a file of {file.rows} rows of the registry is not there")
            continue
        except RepositoryError as error:
            report.add("damaged file", path, error.message)
            continue
        report.files += 1
        report.bytes += len(data)
        if len(data) != file.bytes:
            report.add("damaged file", path, f"it has {len(data)} bytes, not {file.bytes}")
        elif hashlib.sha256(data).hexdigest() != file.sha256:
            report.add("damaged file", path, "its checksum is not the one that was recorded")
    if not report.complete:
        return  # what is not reached may be needed by what is damaged
    for path, info in data_files(storage, {path.split("/")[2] for path in files}).items():
        if path not in files:
            report.add("orphan", path, f"no version refers to its {info.size} bytes", damage=False)
