# SPDX-License-Identifier: BSD-3-Clause
"""A good repository, and the means to make another of it whose every seal and digest holds."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lakebutler import Butler, CollectionType, DatasetType, Timespan
from lakebutler.lake.naming import checkpoint_path, log_path, seal
from tests.butler.world import CAM, fill, instant, note_id

RUN = "u/good"
OTHER = "u/other"
Json = dict[str, Any]


def make_good(root: Path) -> None:
    """Make a repository with a dataset of each common format, and a collection of each type."""
    import numpy as np
    import pyarrow as pa

    Butler.makeRepo(root)
    with Butler.from_config(root, run=RUN) as butler:
        fill(butler)
        add = butler.registry.registerDatasetType
        add(DatasetType("array", ["instrument"], "NumpyArray", universe=butler.dimensions))
        note = butler.put({"n": 1}, "note", note_id(101, 0))
        butler.put({"n": 2}, "note", note_id(101, 1))
        butler.put("text", "label", instrument=CAM)
        butler.put(np.arange(6.0), "array", instrument=CAM)
        butler.put(pa.table({"a": [1, 2, 3]}), "catalog", instrument=CAM, visit=101)
        bias = butler.put({"level": 3}, "bias", instrument=CAM, detector=0)
        registry = butler.registry
        for name, kind in (("tag", "TAGGED"), ("calib", "CALIBRATION"), ("chain", "CHAINED")):
            registry.registerCollection(name, CollectionType[kind])
        registry.associate("tag", [note])
        registry.certify(
            "calib", [bias], Timespan(instant("2025-01-01T00:00:00"), instant("2025-02-01T00:00:00"))
        )
        registry.setCollectionChain("chain", ["tag", RUN])
        butler.tag("dr1")
    with Butler.from_config(root, run=OTHER) as butler:
        butler.put({"n": 3}, "note", note_id(201, 0))


class Edited:
    """The log of a repository as data, written back with its seals and its chain made good.

    Parameters
    ----------
    root : `Path`
        A copy of a good repository; checkpoints are removed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        for path in (root / "registry/checkpoint").glob("*"):
            path.unlink()
        self.entries: list[Json] = []
        while (path := root / log_path(len(self.entries))).exists():
            self.entries.append(json.loads(path.read_bytes()))

    def actions(self, kind: str) -> list[Json]:
        """Bodies of all actions of one kind."""
        return [action[kind] for entry in self.entries for action in entry["actions"] if kind in action]

    def add(self, *actions: Json) -> None:
        """Append one more entry."""
        last = self.entries[-1]
        self.entries.append(
            {**last, "txid": str(uuid.uuid4()), "version": len(self.entries), "actions": list(actions)}
        )
        self.entries[-1].pop("expect", None)

    def columns(self, table: str) -> list[str]:
        """Names of the columns of a table."""
        (found,) = [body for body in self.actions("create_table") if body["name"] == table]
        return [column["name"] for column in found["columns"]]

    def rows(self, prefix: str, change: Callable[[Json], Json | None]) -> None:
        """Change every row of the tables whose name begins so."""
        for body in self.actions("rows"):
            if not body["table"].startswith(prefix):
                continue
            names = self.columns(body["table"])
            rows = [change(dict(zip(names, row, strict=True))) for row in body["rows"]]
            body["rows"] = [list(row.values()) for row in rows if row is not None]

    def datasets(self, dataset_type: str, **values: Any) -> None:
        """Set columns of the datasets of a type (where they were stored, not memberships)."""

        def change(row: Json) -> Json:
            fits = row["dataset_type"] == dataset_type and row["collection"] == row["run"]
            return {**row, **values} if fits else row

        self.rows("dataset_", change)

    def content(self, dataset_type: str, data: bytes, **values: Any) -> None:
        """Give the datasets of a type other bytes, with the digest to fit."""
        path = self.root / self.path_of(dataset_type)
        path.write_bytes(data)
        self.datasets(dataset_type, size=len(data), checksum=digest(data), **values)

    def path_of(self, dataset_type: str) -> str:
        """Path of a dataset's file."""
        found: list[str] = []

        def look(row: Json) -> Json:
            if row["dataset_type"] == dataset_type and row["path"]:
                found.append(row["path"])
            return row

        self.rows("dataset_", look)
        return found[0]

    def state(self, kind: str, name: str, value: Any) -> None:
        """Set a named value, in a new entry."""
        self.add({"set": {"kind": kind, "name": name, "value": value}})

    def replace_file(self, path: str, data: bytes) -> None:
        """Write a data file of the registry anew, and its size and digest wherever it is named."""
        (self.root / path).write_bytes(data)
        for kind in ("add", "delete_file"):
            for body in self.actions(kind):
                self._fit(body, path, data)
        for body in self.actions("create_table"):
            self._fit(body["empty"], path, data)

    @staticmethod
    def _fit(body: Json, path: str, data: bytes) -> None:
        if body["path"] == path:
            body.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    def save(self) -> None:
        """Write the log."""
        before = {"txid": "", "sha256": ""}
        for version, entry in enumerate(self.entries):
            entry.pop("sha256", None)
            if entry.get("prev") is not None:
                entry["prev"] = before
            data = seal(json.dumps(entry))
            (self.root / log_path(version)).write_bytes(data)
            before = {"txid": entry.get("txid", ""), "sha256": data[-67:-3].decode()}


def digest(data: bytes) -> str:
    """As a dataset's record has it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def edit_checkpoint(root: Path, change: Callable[[Json, list[Json]], None]) -> None:
    """Make a checkpoint of the newest version, and change its head and its lines of rows."""
    with Butler.from_config(root, writeable=True) as butler:
        butler.repository.lake.checkpoint()
    (path,) = (root / "registry/checkpoint").glob("*.json")
    head, *lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    end = lines.pop()
    end.pop("sha256")
    change(head, lines)
    body = "\n".join(json.dumps(part, separators=(",", ":")) for part in (head, *lines, end))
    path.unlink()
    fresh = checkpoint_path(head["version"] if isinstance(head.get("version"), int) else 0, uuid.uuid4().hex)
    (root / fresh).write_bytes(seal(body))
    hint = {"version": int(fresh.split("/")[-1][:20]), "path": fresh}
    (root / "registry/checkpoint/_last").write_text(json.dumps(hint) + "\n")


def reseal(path: Path, change: Mapping[str, Any]) -> None:
    """Change members of a sealed file of one line."""
    body = json.loads(path.read_bytes())
    body.pop("sha256")
    path.write_bytes(seal(json.dumps({**body, **change})))
