# SPDX-License-Identifier: BSD-3-Clause
"""Hostile repositories: each function makes one of a good one, as a stranger might."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hostile.editing import Edited, Json, digest, edit_checkpoint, reseal

CONFIG = "butler.yaml"


@dataclass
class Site:
    """Where an attack is made.

    Attributes
    ----------
    root : `Path`
        The repository, a copy.
    secret : `Path`
        A directory outside of it that nobody may look into or change.
    port : `int`
        A port of this machine that nobody may connect to.
    target : `Path`
        What is opened.
    """

    root: Path
    secret: Path
    port: int
    target: Path = field(init=False)

    def __post_init__(self) -> None:
        self.target = self.root

    @property
    def marker(self) -> Path:
        """A file that hostile code makes."""
        return self.secret / "ran"

    @property
    def url(self) -> str:
        """Where nobody may connect to."""
        return f"http://127.0.0.1:{self.port}/x.json"

    def config(self, text: str) -> None:
        """Write the repository's own configuration."""
        (self.root / CONFIG).write_text(text)


Attack = Callable[[Site], None]
ATTACKS: dict[str, Attack] = {}


def attack(function: Attack) -> Attack:
    """Add to the corpus."""
    ATTACKS[function.__name__.replace("_", "-")] = function
    return function


def edits(name: str) -> Callable[[Callable[[Site, Edited], None]], None]:
    """Add an attack that edits the log."""

    def wrapped(function: Callable[[Site, Edited], None]) -> None:
        def make(site: Site) -> None:
            edited = Edited(site.root)
            function(site, edited)
            edited.save()

        assert name not in ATTACKS
        ATTACKS[name] = make

    return wrapped


def dataset_edit(name: str, dataset_type: str, values: Callable[[Site], Json]) -> None:
    edits(name)(lambda site, edited: edited.datasets(dataset_type, **values(site)))


def state_edit(name: str, kind: str, key: str, value: Any) -> None:
    edits(name)(lambda site, edited: edited.state(kind, key, value))


class Runs:
    """An object whose unpickling runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


# ------------------------------------------------- names that could be imported

for number, formatter in enumerate(
    (
        "this.s",
        "evilmod.Formatter",
        "os.system",
        "subprocess:Popen",
        "json?__class__=os.system",
        "lakebutler.formatters.pickle.PickleFormatter",
        "../evilmod",
        "\x1b[31mred",
        "x" * 100_000,
        "",
    )
):
    dataset_edit(f"formatter-{number}", "note", lambda site, f=formatter: {"formatter": f})
for number, storage_class in enumerate(
    ("this.s", "evilmod.Evil", "subprocess.Popen", "Pickle", "builtins.exec", "x" * 100_000, "", "Path")
):
    dataset_edit(f"storage-class-{number}", "note", lambda site, s=storage_class: {"storage_class": s})
    state_edit(
        f"type-storage-class-{number}",
        "dataset_type",
        "note",
        {"dimensions": ["instrument", "detector", "exposure"], "storage_class": storage_class},
    )


@edits("instrument-class")
def _(site: Site, edited: Edited) -> None:
    edited.rows("dimension_instrument", lambda row: {**row, "class_name": "evilmod.Instrument"})


@edits("instrument-class-stdlib")
def _(site: Site, edited: Edited) -> None:
    edited.rows("dimension_instrument", lambda row: {**row, "class_name": "this.s"})


# ------------------------------------------------------------ payloads in files


def payload(site: Site) -> bytes:
    return pickle.dumps(Runs(f"touch {site.marker}"))


@edits("pickle-as-note")
def _(site: Site, edited: Edited) -> None:
    edited.content("note", payload(site), formatter="pickle")


@edits("pickle-type")
def _(site: Site, edited: Edited) -> None:
    edited.content("label", payload(site), formatter="pickle", storage_class="Pickle")
    edited.state("dataset_type", "label", {"dimensions": ["instrument"], "storage_class": "Pickle"})


@edits("pickle-in-numpy")
def _(site: Site, edited: Edited) -> None:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, np.array([Runs(f"touch {site.marker}")], dtype=object), allow_pickle=True)
    edited.content("array", buffer.getvalue())


@edits("yaml-python-tag")
def _(site: Site, edited: Edited) -> None:
    text = f"!!python/object/apply:os.system ['touch {site.marker}']\n"
    edited.content("note", text.encode(), formatter="yaml")


@edits("yaml-bomb-in-dataset")
def _(site: Site, edited: Edited) -> None:
    edited.content("note", yaml_bomb("a").encode(), formatter="yaml")


@edits("json-deep-dataset")
def _(site: Site, edited: Edited) -> None:
    edited.content("note", b"[" * 200_000 + b"]" * 200_000)


@edits("parquet-garbage-dataset")
def _(site: Site, edited: Edited) -> None:
    edited.content("catalog", b"PAR1" + b"\xff" * 4000 + b"\xff\xff\xff\x7fPAR1")


@edits("parquet-pandas-class")
def _(site: Site, edited: Edited) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    column = {"name": "a", "field_name": "a", "pandas_type": "x", "numpy_type": "evilmod.T", "metadata": None}
    metadata = {"pandas": json.dumps({"columns": [column], "index_columns": []}), "table_meta_yaml": "!!x"}
    buffer = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata(metadata), buffer)
    edited.content("catalog", buffer.getvalue(), storage_class="DataFrame")


@edits("numpy-of-impossible-size")
def _(site: Site, edited: Edited) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,), }"
    edited.content(
        "array", b"\x93NUMPY\x01\x00" + len(header + b" " * 40).to_bytes(2, "little") + header + b" " * 40
    )


@edits("figure-formatter")
def _(site: Site, edited: Edited) -> None:
    edited.content("label", payload(site), formatter="figure", storage_class="Plot")


# ----------------------------------------------------------------- paths and uris

PATHS = {
    "up": lambda site: f"../{site.secret.name}/secret.json",
    "up-inside": lambda site: f"datastore/../../{site.secret.name}/secret.json",
    "absolute": lambda site: str(site.secret / "secret.json"),
    "file-url": lambda site: f"file://{site.secret}/secret.json",
    "http": lambda site: site.url,
    "s3": lambda site: "s3://bucket/x.json",
    "registry": lambda site: "registry/format.json",
    "registry-case": lambda site: "Registry/format.json",
    "config": lambda site: CONFIG,
    "nul": lambda site: "datastore/a\0b",
    "backslash": lambda site: "datastore\\..\\..\\secret",
    "home": lambda site: "~/secret.json",
    "variable": lambda site: "${HOME}/secret.json",
    "bidi": lambda site: "datastore/\u202egnp.json",
    "escape": lambda site: "datastore/\x1b]0;title\x07.json",
    "long": lambda site: "datastore/" + "x" * 5000,
    "deep": lambda site: "datastore/" + "x/" * 5000 + "y",
    "empty": lambda site: "",
    "dot": lambda site: "datastore/./x",
    "directory": lambda site: "datastore/u",
    "glob": lambda site: "datastore/**/*.json",
    "device": lambda site: "/dev/zero",
}
for _name, _path in PATHS.items():
    dataset_edit(f"path-{_name}", "note", lambda site, p=_path: {"path": p(site)})
for _name in ("absolute", "file-url", "http", "s3", "up", "home"):
    dataset_edit(
        f"uri-{_name}", "note", lambda site, p=PATHS[_name]: {"path": None, "uri": p(site), "checksum": None}
    )
dataset_edit("path-and-uri", "note", lambda site: {"uri": f"file://{site.secret}/secret.json"})
dataset_edit("uri-metadata-service", "note", lambda site: {"path": None, "uri": "http://169.254.169.254/x"})
dataset_edit("uri-pipeline", "note", lambda site: {"path": None, "uri": f"simplecache::{site.url}"})
dataset_edit("size-huge", "note", lambda site: {"size": 2**62})
dataset_edit("size-negative", "note", lambda site: {"size": -1})
dataset_edit("checksum-garbage", "note", lambda site: {"checksum": "md5:" + "x" * 5000})
dataset_edit("checksum-none", "note", lambda site: {"checksum": None, "size": None})


def replace_by_link(path: Path, target: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()
    path.symlink_to(target)


@attack
def link_for_a_file(site: Site) -> None:
    path = site.root / Edited(site.root).path_of("note")
    replace_by_link(path, site.secret / "secret.json")


@attack
def link_for_a_run(site: Site) -> None:
    replace_by_link(site.root / "datastore/u/good", site.secret)


@attack
def link_for_the_datastore(site: Site) -> None:
    replace_by_link(site.root / "datastore", site.secret)


@attack
def link_for_a_run_to_be_written(site: Site) -> None:
    replace_by_link(site.root / "datastore/u", site.secret)


@attack
def link_for_the_log(site: Site) -> None:
    shutil.copytree(site.root / "registry/log", site.secret / "log", dirs_exist_ok=True)
    replace_by_link(site.root / "registry/log", site.secret / "log")


@attack
def link_for_registry_data(site: Site) -> None:
    shutil.copytree(site.root / "registry/data", site.secret / "data", dirs_exist_ok=True)
    replace_by_link(site.root / "registry/data", site.secret / "data")


@attack
def link_for_checkpoints(site: Site) -> None:
    replace_by_link(site.root / "registry/checkpoint", site.secret)


@attack
def link_for_the_registry(site: Site) -> None:
    shutil.copytree(site.root / "registry", site.secret / "registry", dirs_exist_ok=True)
    replace_by_link(site.root / "registry", site.secret / "registry")


@attack
def link_for_views(site: Site) -> None:
    replace_by_link(site.root / "registry/views.sql", site.secret / "secret.json")


@attack
def link_for_the_lock(site: Site) -> None:
    replace_by_link(site.root / "registry/.lock", site.secret / "lock")


@attack
def link_for_the_config(site: Site) -> None:
    replace_by_link(site.root / CONFIG, site.secret / "secret.json")


@attack
def link_for_a_log_entry(site: Site) -> None:
    path = site.root / f"registry/log/{3:020d}.json"
    shutil.copy(path, site.secret / "entry.json")
    replace_by_link(path, site.secret / "entry.json")


@attack
def pipe_for_a_file(site: Site) -> None:
    path = site.root / Edited(site.root).path_of("note")
    path.unlink()
    os.mkfifo(path)


@attack
def pipe_for_the_hint(site: Site) -> None:
    (site.root / "registry/checkpoint").mkdir(exist_ok=True)
    (site.root / "registry/checkpoint/_last").unlink(missing_ok=True)
    os.mkfifo(site.root / "registry/checkpoint/_last")


@attack
def pipe_for_the_config(site: Site) -> None:
    os.mkfifo(site.root / CONFIG)


# -------------------------------------------------------------- configuration


def yaml_bomb(last: str, depth: int = 9) -> str:
    lines = ['a0: &a0 "lol"']
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, depth)]
    return "\n".join(lines) + f"\n{last}: *a{depth - 1}\n"


CONFIGS = {
    "width": "datastore: {templates: {default: '{run!r:>99999999}'}}",
    "width-plain": "datastore: {templates: {default: '{run:99999999d}/{id}'}}",
    "attribute": "datastore: {templates: {default: '{run.__class__.__init__.__globals__}/{id}'}}",
    "index": "datastore: {templates: {default: '{run[0]}/{id}'}}",
    "up": "datastore: {templates: {default: '../../{run}/{id}'}}",
    "absolute": "datastore: {templates: {default: '/SECRET/{run}/{id}'}}",
    "same-name": "datastore: {templates: {default: 'same'}}",
    "home": "datastore: {templates: {default: '~/{run}/${HOME}/{id}'}}",
    "root": "datastore: {root: SECRET}",
    "class": "datastore: {cls: this.s}",
    "managers": "registry: {managers: {attributes: evilmod.Manager}}",
    "database": "registry: {db: 'sqlite:///SECRET/x.sqlite3'}",
    "formatters": "datastore: {formatters: {note: evilmod.Formatter}}",
    "formatters-pickle": "datastore: {formatters: {default: pickle}}",
    "trust": "datastore: {trust: true}\ntrust: true",
    "endpoint": "storage_options: {endpoint_url: 'URL', key: x, secret: y}",
    "endpoint-inside": "datastore: {storage_options: {endpoint_url: 'URL'}}",
    "include": "description: !include SECRET/secret.json",
    "include-key": "includeConfigs: [SECRET/secret.json]",
    "home-value": "description: ${HOME} ~ $HOME",
    "python-tag": "description: !!python/object/apply:os.system ['touch SECRET/ran']",
    "python-module": "description: !!python/module:this",
    "bomb": yaml_bomb("description"),
    "bomb-templates": yaml_bomb("x") + "datastore: {templates: {note: *a8}}",
    "bomb-key": yaml_bomb("x") + "? *a8\n: 1",
    "bomb-setting": "datastore:\n  templates:\n" + "".join(
        f"    {line}\n" for line in yaml_bomb("x").splitlines()
    ),
    "bomb-description": "description:\n" + "".join(f"  {line}\n" for line in yaml_bomb("x").splitlines()),
    "bomb-value": "datastore: {templates: {note: [&a [l, l, l, l, l, l, l, l, l, l], "
    + ", ".join(f"&{c} [{', '.join([f'*{b}'] * 10)}]" for b, c in zip("abcdefgh", "bcdefghi", strict=True))
    + "]}}",
    "deep": "[" * 50_000,
    "deep-dashes": "- " * 100_000,
    "deep-map": "{a: " * 3000 + "1" + "}" * 3000,
    "list": "[1, 2]",
    "number": "5",
    "not-utf8": "description: \xff\xfe\x00",
    "big": "description: '" + "x" * (2 << 20) + "'",
    "merge": "a: &a {description: x}\n<<: *a",
    "date": "defaults: {2020-01-01: 1, null: 2}\ndatastore: {1: 2}",
    "octal": "datastore: {private: {x: [1]}, verify: {y: 1}, templates: 7, formatters: [1]}",
    "allow": "datastore: {allow_external: true}",
    "defaults": "defaults: {collections: ['*', '../x'], run: ../../x, writeable: true}",
}  # fmt: skip
for _name, _text in CONFIGS.items():

    def _make(site: Site, text: str = _text) -> None:
        text = text.replace("SECRET", str(site.secret)).replace("URL", site.url)
        (site.root / CONFIG).write_bytes(text.encode("latin-1"))

    ATTACKS[f"config-{_name}"] = _make


# ------------------------------------------------------------------- named values

STATES: dict[str, tuple[str, str, Any]] = {
    "type-name-class": (
        "dataset_type",
        "os.system",
        {"dimensions": ["instrument"], "storage_class": "Text"},
    ),
    "type-name-path": ("dataset_type", "../../x", {"dimensions": ["instrument"], "storage_class": "Text"}),
    "type-name-sql": ("dataset_type", 'x"; DROP--', {"dimensions": ["instrument"], "storage_class": "Text"}),
    "type-name-escape": ("dataset_type", "\x1b[2J", {"dimensions": ["instrument"], "storage_class": "Text"}),
    "type-name-empty": ("dataset_type", "", {"dimensions": ["instrument"], "storage_class": "Text"}),
    "type-no-dimensions": ("dataset_type", "odd", {"storage_class": "Text"}),
    "type-unknown-dimension": ("dataset_type", "odd", {"dimensions": ["nosuch"], "storage_class": "Text"}),
    "type-dimensions-number": ("dataset_type", "odd", {"dimensions": 7, "storage_class": "Text"}),
    "type-dimensions-nested": ("dataset_type", "odd", {"dimensions": [["visit"]], "storage_class": "Text"}),
    "type-storage-number": ("dataset_type", "odd", {"dimensions": ["instrument"], "storage_class": 7}),
    "type-list": ("dataset_type", "odd", [1, 2]),
    "type-text": ("dataset_type", "odd", "x"),
    "type-other-dimensions": ("dataset_type", "note", {"dimensions": ["visit"], "storage_class": "Text"}),
    "collection-up": ("collection", "../../x", {"type": "RUN"}),
    "collection-absolute": ("collection", "/etc", {"type": "RUN"}),
    "collection-escape": ("collection", "\x1b[31mred\x07", {"type": "RUN"}),
    "collection-bidi": ("collection", "\u202eexe", {"type": "RUN"}),
    "collection-newline": ("collection", "a\nb", {"type": "RUN"}),
    "collection-empty": ("collection", "", {"type": "RUN"}),
    "collection-long": ("collection", "x" * 100_000, {"type": "RUN"}),
    "collection-glob": ("collection", "*", {"type": "RUN"}),
    "collection-markup": ("collection", "[link=file:///etc/passwd]x[/link]", {"type": "RUN"}),
    "collection-type": ("collection", "odd", {"type": "os.system"}),
    "collection-type-number": ("collection", "odd", {"type": 7}),
    "collection-type-list": ("collection", "odd", {"type": ["RUN"]}),
    "collection-no-type": ("collection", "odd", {}),
    "collection-list": ("collection", "odd", ["RUN"]),
    "collection-text": ("collection", "odd", "RUN"),
    "collection-doc": ("collection", "odd", {"type": "RUN", "doc": {"a": "\x1b[2J"}}),
    "chain-itself": ("collection", "chain", {"type": "CHAINED", "children": ["chain"]}),
    "chain-nowhere": ("collection", "chain", {"type": "CHAINED", "children": ["nosuch", "../x"]}),
    "chain-text": ("collection", "chain", {"type": "CHAINED", "children": "abc"}),
    "chain-number": ("collection", "chain", {"type": "CHAINED", "children": 7}),
    "chain-nested": ("collection", "chain", {"type": "CHAINED", "children": [["u/good"], {"a": 1}]}),
    "chain-none": ("collection", "chain", {"type": "CHAINED"}),
    "run-is-a-tag": ("collection", "u/good", {"type": "TAGGED"}),
    "tag-is-a-run": ("collection", "tag", {"type": "RUN"}),
    "tag-of-the-future": ("tag", "dr2", {"version": 10**30, "sha256": "x"}),
    "tag-negative": ("tag", "dr2", {"version": -5}),
    "tag-text": ("tag", "dr2", "../../x"),
    "tag-list": ("tag", "dr2", []),
    "tag-name": ("tag", "\x1b[31m\n", {"version": 1}),
    "retired": ("retired", "x", {"version": "../x", "files": ["/etc/passwd"]}),
    "universe-gone": ("config", "dimensions", None),
    "universe-empty": ("config", "dimensions", {}),
    "universe-list": ("config", "dimensions", [1]),
    "universe-number": ("config", "dimensions", 7),
    "unknown-kind": ("os.system", "x", {"a": 1}),
}
for _name, (_kind, _key, _value) in STATES.items():
    state_edit(_name, _kind, _key, _value)


@edits("chain-cycle")
def _(site: Site, edited: Edited) -> None:
    for name, child in (("chain", "c1"), ("c1", "c2"), ("c2", "chain")):
        edited.state("collection", name, {"type": "CHAINED", "children": [child]})


@edits("chain-long")
def _(site: Site, edited: Edited) -> None:
    sets = [
        {
            "set": {
                "kind": "collection",
                "name": f"c{n}",
                "value": {"type": "CHAINED", "children": [f"c{n + 1}"]},
            }
        }
        for n in range(20_000)
    ]
    edited.add(
        *sets,
        {
            "set": {
                "kind": "collection",
                "name": "chain",
                "value": {"type": "CHAINED", "children": ["c0", "u/good"]},
            }
        },
    )


@edits("chain-exponential")
def _(site: Site, edited: Edited) -> None:
    for n in range(40):
        edited.state("collection", f"c{n}", {"type": "CHAINED", "children": [f"c{n + 1}", f"d{n + 1}"]})
        edited.state("collection", f"d{n}", {"type": "CHAINED", "children": [f"d{n + 1}", f"c{n + 1}"]})
    edited.state("collection", "c40", {"type": "RUN"})
    edited.state("collection", "d40", {"type": "RUN"})
    edited.state("collection", "chain", {"type": "CHAINED", "children": ["c0", "u/good"]})


def universe_of(edited: Edited) -> Json:
    return next(body["value"] for body in edited.actions("set") if body["name"] == "dimensions")


UNIVERSES: dict[str, Callable[[Json], Any]] = {
    "version": lambda config: config.update(version="nine"),
    "huge-version": lambda config: config.update(version=10**40),
    "namespace": lambda config: config.update(namespace="../../os"),
    "dimensions-text": lambda config: config.update(dimensions="x"),
    "cycle": lambda config: config["dimensions"]["detector"].update(requires=["detector"]),
    "long-cycle": lambda config: config["dimensions"]["instrument"].update(requires=["detector"]),
    "class": lambda config: config["dimensions"].update({"os.system": {"about": "x", "keys": []}}),
    "sql": lambda config: config["dimensions"].update({'a"; --': config["dimensions"]["detector"]}),
    "skypix-class": lambda config: config["skypix"]["htm"].update({"class": "evilmod.Pixelization"}),
    "skypix-levels": lambda config: config["skypix"]["htm"].update(levels=[1, 10**9]),
    "skypix-negative": lambda config: config["skypix"]["htm"].update(levels=[-(10**9), 24]),
    "skypix-system": lambda config: config["skypix"].update({"os": {"levels": [1, 3]}}),
    "common-skypix": lambda config: config.update(common_skypix="htm999999"),
    "key-type": lambda config: config["dimensions"]["detector"].update(
        keys=[{"name": "id", "type": "os.system"}]
    ),
    "many": lambda config: config["dimensions"].update(
        {f"e{n}": {"about": "", "keys": [{"name": "id", "type": "int"}]} for n in range(2000)}
    ),
    "spatial": lambda config: config.update(spatial={"x": ["nosuch", 7]}),
    "packers": lambda config: config.update(packers={"x": {"cls": "evilmod.Packer"}}),
    "nothing": lambda config: config.clear(),
}
for _name, _change in UNIVERSES.items():

    @edits(f"universe-{_name}")
    def _(site: Site, edited: Edited, change: Any = _change) -> None:
        change(universe_of(edited))


# ---------------------------------------------------------------- rows of the registry


def dimension_edit(name: str, element: str, **values: Any) -> None:
    edits(name)(lambda site, edited: edited.rows(f"dimension_{element}", lambda row: {**row, **values}))


dimension_edit("instrument-name", "instrument", instrument="\x1b[31m../../x")
dimension_edit("instrument-name-empty", "instrument", instrument="")
dimension_edit("detector-name", "detector", full_name="../../../x", raft="a/b\0")
dimension_edit("region-garbage", "visit", region="AAECAwQFBgcICQ==")
dimension_edit("region-empty", "visit", region="")
dimension_edit("region-huge-count", "visit", region="cP////8=" + "")
dimension_edit("times-backwards", "exposure", timespan_begin=2**62, timespan_end=-(2**62))
dimension_edit("times-extreme", "visit", timespan_begin=-(2**63), timespan_end=2**63 - 1)
dimension_edit("number-extreme", "exposure", exposure=-(2**63))


@edits("rows-of-another-type")
def _(site: Site, edited: Edited) -> None:
    edited.rows("dataset_", lambda row: {**row, "dataset_type": "nosuch", "run": "nowhere"})


@edits("rows-without-a-run")
def _(site: Site, edited: Edited) -> None:
    edited.rows("dataset_", lambda row: {**row, "run": "../../x", "collection": "../../x"})


@edits("same-id-everywhere")
def _(site: Site, edited: Edited) -> None:
    edited.rows("dataset_", lambda row: {**row, "id": "00000000-0000-4000-8000-000000000000"})


@edits("two-datasets-one-file-of-the-secret-size")
def _(site: Site, edited: Edited) -> None:
    data = (site.secret / "secret.json").read_bytes()
    edited.datasets("note", path=f"../{site.secret.name}/secret.json", size=len(data), checksum=digest(data))


@edits("validity-backwards")
def _(site: Site, edited: Edited) -> None:
    edited.rows(
        "dataset_",
        lambda row: {**row, "valid_begin": 5, "valid_end": -5} if "valid_begin" in row else row,
    )


# ------------------------------------------------------------------------ log entries


def entry_edit(name: str, change: Callable[[Site, Json], Any]) -> None:
    edits(f"entry-{name}")(lambda site, edited: change(site, edited.entries[-1]))


def action_edit(name: str, action: Callable[[Site], Json]) -> None:
    edits(f"action-{name}")(lambda site, edited: edited.add(action(site)))


def file_action(path: str, **more: Any) -> Json:
    return {"table": "dimension_detector", "path": path, "rows": 1, "bytes": 10, "sha256": "0" * 64, **more}


entry_edit("time", lambda site, entry: entry.update(time="9999-12-31T23:59:59.999999Z"))
entry_edit("time-number", lambda site, entry: entry.update(time=7))
entry_edit("time-year-zero", lambda site, entry: entry.update(time="0000-00-00T00:00:00Z"))
entry_edit("writer", lambda site, entry: entry.update(writer={"user": "\x1b[31m", "host": ["x"], "lib": {}}))
entry_edit("writer-text", lambda site, entry: entry.update(writer="root"))
entry_edit("message", lambda site, entry: entry.update(message="\x1b]0;x\x07\n[link=x]" + "y" * 100_000))
entry_edit("message-list", lambda site, entry: entry.update(message=["x"]))
entry_edit("op", lambda site, entry: entry.update(op={"a": 1}))
entry_edit("txid-long", lambda site, entry: entry.update(txid="x" * 1_000_000))
entry_edit("txid-number", lambda site, entry: entry.update(txid=5))
entry_edit("base", lambda site, entry: entry.update(base=10**40))
entry_edit("expect", lambda site, entry: entry.update(expect={"touch": 7, "require": "x"}))
entry_edit("prev", lambda site, entry: entry.update(prev=None))
entry_edit("actions", lambda site, entry: entry.update(actions={"a": 1}))
entry_edit("version-text", lambda site, entry: entry.update(version="1"))
entry_edit("big-number", lambda site, entry: entry.update(version=int("9" * 4000)))
action_edit("add-up", lambda site: {"add": file_action("registry/data/../../../secret/x.parquet")})
action_edit("add-absolute", lambda site: {"add": file_action(f"{site.secret}/secret.json")})
action_edit("add-url", lambda site: {"add": file_action(site.url)})
action_edit("add-missing", lambda site: {"add": file_action("registry/data/dimension_detector/x.parquet")})
action_edit(
    "add-huge",
    lambda site: {"add": file_action("registry/data/dimension_detector/x.parquet", rows=2**62, bytes=2**62)},
)
action_edit("add-number", lambda site: {"add": 7})
action_edit("fold-future", lambda site: {"fold": {"table": "dimension_detector", "through": 10**20}})
action_edit("fold-text", lambda site: {"fold": {"table": "dimension_detector", "through": "x"}})
action_edit(
    "delete-nothing", lambda site: {"delete": {"table": "dimension_detector", "columns": [], "keys": [[]]}}
)
action_edit(
    "delete-unknown",
    lambda site: {"delete": {"table": "dimension_detector", "columns": ["os"], "keys": [["x"]]}},
)
action_edit("unknown", lambda site: {"exec": "import os"})
action_edit("rows-short", lambda site: {"rows": {"table": "dimension_detector", "rows": [["Cam1"]]}})
action_edit("rows-of-numbers", lambda site: {"rows": {"table": "dimension_detector", "rows": [7]}})
action_edit("rows-nested", lambda site: {"rows": {"table": "dimension_detector", "rows": [[[[]]] * 8]}})
action_edit(
    "table-sql",
    lambda site: {
        "create_table": {
            "name": "x; ATTACH",
            "columns": [{"name": "a", "type": "string", "nullable": True}],
            "sort": ["a"],
            "scope": [],
            "id": None,
            "empty": file_action("registry/data/x/x.parquet", rows=0),
        }
    },
)
action_edit(
    "table-shadow",
    lambda site: {
        "create_table": {
            "name": "dataset_x",
            "columns": [{"name": "a", "type": "string", "nullable": True}],
            "sort": ["a"],
            "scope": [],
            "id": None,
            "empty": file_action("registry/data/dataset_x/x.parquet", rows=0),
        }
    },
)
action_edit(
    "column-type",
    lambda site: {
        "create_table": {
            "name": "x",
            "columns": [{"name": "a", "type": "os.system", "nullable": True}],
            "sort": ["a"],
            "scope": [],
            "id": None,
            "empty": file_action("registry/data/x/x.parquet", rows=0),
        }
    },
)


@attack
def entry_deep(site: Site) -> None:
    edited = Edited(site.root)
    edited.state("collection", "deep", "HERE")
    edited.save()
    path = site.root / f"registry/log/{len(edited.entries) - 1:020d}.json"
    from lakebutler.lake.naming import seal

    body = json.loads(path.read_bytes())
    body.pop("sha256")
    path.write_bytes(seal(json.dumps(body).replace('"HERE"', "[" * 90_000 + "]" * 90_000)))


@attack
def entries_without_end(site: Site) -> None:
    """A number far beyond what there is."""
    (site.root / f"registry/log/{10**19:020d}.json").write_bytes(b"{}")


@attack
def boundary_of_the_future(site: Site) -> None:
    (site.root / "registry/boundary").mkdir(exist_ok=True)
    (site.root / f"registry/boundary/{10**19:020d}").touch()


# -------------------------------------------------------------------- format and seals

FORMATS: dict[str, Json] = {
    "version": {"version": "x"},
    "reader": {"min_reader": 10**30},
    "writer": {"min_writer": 99},
    "features": {"features": ["os.system", "\x1b[31m"]},
    "features-many": {"features": ["x" * 1000] * 1000},
    "features-text": {"features": "import"},
    "features-nested": {"features": [["x"]]},
    "id-path": {"repo_id": "../../../../etc"},
    "id-number": {"repo_id": 7},
    "other": {"format": "gen3"},
}
for _name, _members in FORMATS.items():

    def _reformat(site: Site, members: Json = _members) -> None:
        reseal(site.root / "registry/format.json", members)

    ATTACKS[f"format-{_name}"] = _reformat


# ------------------------------------------------------------------------ checkpoints

CHECKPOINTS: dict[str, Callable[[Json, list[Json]], Any]] = {
    "file-outside": lambda head, lines: head["tables"][0]["files"].append(
        {"path": "../x.parquet", "rows": 1, "bytes": 1, "sha256": "0" * 64, "version": 1}
    ),
    "file-missing": lambda head, lines: head["tables"][0]["files"].append(
        {
            "path": "registry/data/dimension_detector/gone.parquet",
            "rows": 9,
            "bytes": 9,
            "sha256": "0" * 64,
            "version": 1,
        }
    ),
    "file-version": lambda head, lines: head["tables"][0].update(folded=10**30),
    "state-text": lambda head, lines: head.update(state="x"),
    "state-odd": lambda head, lines: head.update(state=[["collection", 7, {"type": "RUN"}], [1]]),
    "tables-text": lambda head, lines: head.update(tables="x"),
    "table-name": lambda head, lines: head["tables"][0]["schema"].update(name="a b"),
    "count": lambda head, lines: lines[0].update(count=10**15),
    "rows": lambda head, lines: lines[0].update(rows=[[0, [[7]]]]),
    "rows-text": lambda head, lines: lines[0].update(rows="x"),
    "rows-unknown-table": lambda head, lines: lines[0].update(table="nosuch"),
    "version": lambda head, lines: head.update(version=10**18),
    "version-text": lambda head, lines: head.update(version="7"),
    "entry": lambda head, lines: head.update(entry_sha256=7),
    "time": lambda head, lines: head.update(time=[]),
    "tombstones": lambda head, lines: head["tables"][0].update(
        tombstones=[{"columns": ["nosuch"], "keys": [[1]], "versions": [1]}]
    ),
}
for _name, _change in CHECKPOINTS.items():

    def _recheck(site: Site, change: Any = _change) -> None:
        edit_checkpoint(site.root, change)

    ATTACKS[f"checkpoint-{_name}"] = _recheck


@attack
def hint_outside(site: Site) -> None:
    (site.root / "registry/checkpoint").mkdir(exist_ok=True)
    hint = {"version": 1, "path": f"../../{site.secret.name}/secret.json"}
    (site.root / "registry/checkpoint/_last").write_text(json.dumps(hint))


@attack
def hint_of_garbage(site: Site) -> None:
    (site.root / "registry/checkpoint").mkdir(exist_ok=True)
    (site.root / "registry/checkpoint/_last").write_text("[" * 100_000)


@attack
def views_that_copy(site: Site) -> None:
    text = f"COPY (SELECT 1) TO '{site.marker}';\nATTACH '{site.secret}/x.db';\nINSTALL httpfs;"
    (site.root / "registry/views.sql").write_text(text)


@attack
def modules_beside(site: Site) -> None:
    for name in ("evilmod", "sitecustomize", "lakebutler_plugin"):
        (site.root / f"{name}.py").write_text(f"open({str(site.marker)!r}, 'w')")
