# SPDX-License-Identifier: BSD-3-Clause
"""What is written is what ``formats/`` says, and Parquet files are as it says."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lakebutler.lake.naming import FORMAT
from lakebutler.lake.schema import COLUMN_TYPES, SQL_TYPES
from lakebutler.lake.segment import PARQUET_KEY
from lakebutler.lake.writer import GROUP_ROWS, INLINE_ROWS, OWN_FILE_ROWS
from tests.lake.helpers import DATASET, NAME, SMALL, add, bulk, commit, fresh, row

FORMATS = Path(__file__).parents[2] / "formats"
KINDS = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


KNOWN = {
    *("$schema", "$defs", "$ref", "title", "type", "required", "properties", "additionalProperties"),
    *("items", "const", "enum", "pattern", "minimum", "minProperties", "maxProperties", "anyOf", "allOf"),
}


class Schemas:
    """As much of JSON Schema as ``formats/`` uses; an unknown keyword is an error."""

    def __init__(self) -> None:
        self.files = {path.name: json.loads(path.read_text()) for path in FORMATS.glob("*.schema.json")}

    def problems(self, value: Any, file: str, schema: Any = None, where: str = "") -> list[str]:
        schema = self.files[file] if schema is None else schema
        assert set(schema) <= KNOWN, set(schema) - KNOWN
        out = []
        if "$ref" in schema:
            name, _, pointer = schema["$ref"].partition("#")
            target = self.files[name or file]
            for part in pointer.strip("/").split("/"):
                target = target[part]
            out += self.problems(value, name or file, target, where)
        for inner in schema.get("allOf", ()):
            out += self.problems(value, file, inner, where)
        if "anyOf" in schema:
            found = [self.problems(value, file, inner, where) for inner in schema["anyOf"]]
            out += [] if [] in found else min(found, key=len)
        return out + self._own_problems(value, file, schema, where)

    def _own_problems(self, value: Any, file: str, schema: Any, where: str) -> list[str]:
        out = []
        kind = schema.get("type")
        if kind and (not isinstance(value, KINDS[kind]) or (kind == "integer" and isinstance(value, bool))):
            return [f"{where}: {value!r} is no {kind}"]
        if "const" in schema and value != schema["const"]:
            out.append(f"{where}: {value!r} is not {schema['const']!r}")
        if "enum" in schema and value not in schema["enum"]:
            out.append(f"{where}: {value!r} is not one of {schema['enum']}")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            out.append(f"{where}: {value!r} does not match")
        if "minimum" in schema and value < schema["minimum"]:
            out.append(f"{where}: {value!r} is too small")
        if isinstance(value, list) and "items" in schema:
            for number, item in enumerate(value):
                out += self.problems(item, file, schema["items"], f"{where}/{number}")
        if isinstance(value, dict):
            out += [f"{where}: no {name}" for name in schema.get("required", ()) if name not in value]
            if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", 10**9):
                out.append(f"{where}: {len(value)} members")
            other = schema.get("additionalProperties", True)
            for name, item in value.items():
                if name in schema.get("properties", {}):
                    out += self.problems(item, file, schema["properties"][name], f"{where}/{name}")
                elif other is False:
                    out.append(f"{where}: what is {name!r}?")
                elif isinstance(other, dict):
                    out += self.problems(item, file, other, f"{where}/{name}")
        return out


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which every kind of action and every part of a checkpoint occurs."""
    root = tmp_path_factory.mktemp("formats")
    lake = fresh(root, DATASET, SMALL)
    add(lake, [row(1), row(2), row(3)])
    lake.compact()
    commit(lake, lambda c: c.append_table(NAME, bulk([row(v) for v in range(100, GROUP_ROWS + 1200)])))
    commit(lake, lambda c: c.delete(NAME, ("visit",), [(v,) for v in range(200, 1400)]))

    def fill(change: Any) -> None:
        change.delete(NAME, ("id", "valid_begin"), [(row(1)[6], None)])
        change.append_rows(NAME, [row(7)])
        change.append_rows("small", [("x", 1)])
        change.touch(NAME, ("raw", "run"))
        change.require("config", "name")
        change.set("collection", "ü", {"type": "RUN"})

    commit(lake, fill)
    lake.checkpoint()
    lake.compact(everything=True)
    lake.close()
    return root


def test_every_entry_is_as_described(repository: Path) -> None:
    schemas, kinds = Schemas(), set()
    for path in sorted((repository / "registry/log").iterdir()):
        entry = json.loads(path.read_text())
        assert schemas.problems(entry, "entry.schema.json") == []
        kinds |= {kind for action in entry["actions"] for kind in action}
    described = schemas.files["entry.schema.json"]["$defs"]["action"]["properties"]
    assert kinds == set(described)


def test_format_and_checkpoints_are_as_described(repository: Path) -> None:
    schemas = Schemas()
    assert schemas.problems(json.loads((repository / FORMAT).read_text()), "format.schema.json") == []
    (path,) = (repository / "registry/checkpoint").glob("*.json")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [schemas.problems(line, "checkpoint.schema.json") for line in lines] == [[]] * len(lines)
    assert ["tables" in line for line in lines] == [True] + [False] * (len(lines) - 1)
    assert lines[-1].keys() == {"end", "sha256"}
    head = {table["schema"]["name"]: table for table in lines[0]["tables"]}[NAME]
    assert head["files"]
    assert head["tombstones"]
    assert head["deletes"]
    assert len(lines) == 4


def test_the_schemas_notice_what_is_wrong(repository: Path) -> None:
    schemas = Schemas()
    good = json.loads((repository / "registry/log" / f"{1:020d}.json").read_text())
    for spoil in (
        lambda e: e.pop("txid"),
        lambda e: e.update(version="1"),
        lambda e: e.update(sha256="x"),
        lambda e: e["actions"].append({"teleport": {}}),
        lambda e: e["actions"].append({"remove": {"table": "t", "path": "../x"}}),
        lambda e: e["actions"][0].update(fold={"table": "t", "through": 1}),
    ):
        entry = json.loads(json.dumps(good))
        spoil(entry)
        assert schemas.problems(entry, "entry.schema.json")


def test_seals_and_digests_are_as_described(repository: Path) -> None:
    for path in [repository / FORMAT, *(repository / "registry/log").iterdir()]:
        data = path.read_bytes()
        body, comma, _ = data.rpartition(b',"sha256":"')
        assert comma
        assert data == body + b',"sha256":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'
    previous = ""
    for path in sorted((repository / "registry/log").iterdir()):
        entry = json.loads(path.read_text())
        assert entry["prev"]["sha256"] == previous
        previous = entry["sha256"]
        for action in entry["actions"]:
            for body in action.values():
                described = body.get("empty", body)
                if "sha256" in described:
                    content = (repository / described["path"]).read_bytes()
                    assert hashlib.sha256(content).hexdigest() == described["sha256"]
                    assert len(content) == described["bytes"]


def test_data_files_are_as_described(repository: Path) -> None:
    seen = 0
    for path in (repository / "registry/data" / NAME).iterdir():
        with pq.ParquetFile(path) as file:
            if file.schema_arrow.names != list(DATASET.names):
                assert file.schema_arrow.names == ["visit"]
                continue
            assert file.schema_arrow.equals(DATASET.arrow)
            firsts = json.loads(file.metadata.metadata[PARQUET_KEY])["first"]
            assert len(firsts) == (file.metadata.num_row_groups if file.metadata.num_rows else 0)
            for group, first in enumerate(firsts):
                data = file.read_row_group(group, columns=list(DATASET.sort))
                assert data.num_rows <= GROUP_ROWS
                assert [column[0].as_py() for column in data.columns] == first
            seen += len(firsts)
    assert seen >= 2


def test_the_text_names_the_types_and_limits_of_the_code() -> None:
    text = (FORMATS / "README.md").read_text()
    for kind in COLUMN_TYPES:
        assert re.search(rf"\| `{kind}` \|.*\| {SQL_TYPES[kind]} \|", text)
    for number in (GROUP_ROWS, INLINE_ROWS, OWN_FILE_ROWS):
        assert str(number) in text or f"{number:,}" in text
