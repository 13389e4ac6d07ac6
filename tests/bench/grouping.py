# SPDX-License-Identifier: BSD-3-Clause
"""How to group the datasets of many types into files: the measurement behind docs/design/002-grouping.md.

Writes the same synthetic repository (`grouping_content`) in four layouts
(`grouping_layouts`), once as its commits leave it (a commit per run) and once as
compaction leaves it, and measures what a repository does all day::

    python tests/bench/grouping.py --types 1000 --datasets 1000000

Each measurement runs in a process of its own, the layouts take turns, and the
least of all rounds counts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import duckdb
import pyarrow as pa
from grouping_content import RAW, Batch, Content, Kind, data_ids
from grouping_layouts import LAYOUTS, Key, Layout

from lakebutler.lake import Change, Lake, Snapshot, open_storage
from lakebutler.lake.relation import relation
from lakebutler.lake.segment import FileSegment
from lakebutler.lake.views import View

POINTS, SQL_POINTS, IDS = 500, 30, 200


def rss_mb() -> float:
    """Memory of this process now, in MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def least(repeat: int, action: Callable[[], Any]) -> float:
    """Seconds that an action takes, the least of several times."""
    best = float("inf")
    for _ in range(repeat):
        begin = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - begin)
    return best


# ------------------------------------------------------------------------- writing


def views_of(layout: Layout) -> Callable[[Snapshot], list[View]]:
    """Views for ``views.sql``: one for each dataset type, with its own name."""
    return lambda _: [View(kind.name, layout.sql(kind)) for kind in layout.content.kinds]


def build(layout: Layout, root: Path, *, whole: bool) -> dict[str, Any]:
    """Write the repository; measure the commits of the runs of processing."""
    lake = Lake.create(open_storage(str(root)), config={}, views=views_of(layout))
    change = Change()
    for schema in layout.schemas():
        change.create_table(schema)
    lake.commit(lambda _: change, op="create")
    seconds, sizes = [], []
    batches = map(layout.content.batch, range(layout.content.runs))
    for batch in [_joined(list(batches))] if whole else batches:
        change = Change()
        for table, rows in layout.split(batch):
            change.append_table(table, rows)
        begin = time.perf_counter()
        snapshot = lake.commit(lambda _, change=change: change, op="ingest")
        seconds.append(time.perf_counter() - begin)
        sizes.append(os.path.getsize(root / f"registry/log/{snapshot.version:020d}.json"))
    lake.checkpoint()
    lake.close()
    return {"commit_s": min(seconds[1:] or seconds), "entry_kb": sizes[-1] / 1000}


def _joined(batches: list[Batch]) -> Batch:
    """All runs in one batch, each type's rows together."""
    tables, slices = {}, {}
    for group in dict.fromkeys(group for batch in batches for group in batch.tables):
        rows = pa.concat_tables([b.tables[group] for b in batches if group in b.tables])
        tables[group] = rows = rows.sort_by(
            [("dataset_type", "ascending"), ("run", "ascending")]
        ).combine_chunks()
        start = 0
        for entry in rows.column("dataset_type").value_counts():
            slices[entry["values"].as_py()] = (start, entry["counts"].as_py())
            start += entry["counts"].as_py()
    return Batch("", tables, slices)


def sizes(layout: Layout, root: Path) -> dict[str, Any]:
    """Count files and bytes, and those that the removal of one run would touch."""
    newest = max((root / "registry/checkpoint").glob("0*.json"))
    snapshot = Lake.open(open_storage(str(root))).snapshot()
    run = layout.content.run_name(layout.content.runs // 2)
    files = [
        (s.file.bytes, {scope[-1] for scope in s.scopes}, {scope[-1] for scope in s.scopes} == {run})
        for table in snapshot.schemas()
        for _, slot in snapshot.view(table).segments()
        if isinstance(s := slot.segment, FileSegment)
    ]
    shared = [size for size, runs, alone in files if run in runs and not alone]
    return {
        "files": len(files),
        "data_mb": sum(size for size, *_ in files) / 1e6,
        "checkpoint_kb": newest.stat().st_size / 1000,
        "run_files_dropped": sum(alone for *_, alone in files),
        "run_files_rewritten": len(shared),
        "run_mb_rewritten": sum(shared) / 1e6,
    }


def remove_run(layout: Layout, root: Path, scratch: Path) -> dict[str, Any]:
    """Remove one run by tombstones, in a copy that shares the files."""
    copy = scratch / "removal"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(root, copy, copy_function=os.link)
    (copy / "registry/views.sql").unlink(missing_ok=True)
    run = layout.content.run_name(layout.content.runs // 2)
    lake = Lake.open(open_storage(str(copy)))

    def change(snapshot: Snapshot) -> Change:
        made = Change()
        for table, schema in snapshot.schemas().items():
            made.delete(table, ("collection" if "collection" in schema.names else "run",), [(run,)])
        return made

    seconds = least(1, lambda: lake.commit(change, op="remove"))
    lake.close()
    shutil.rmtree(copy)
    return {"remove_run_s": seconds}


# ------------------------------------------------------------------------- reading


def some_keys(content: Content, count: int, seed: int) -> list[tuple[Kind, str, Key]]:
    """Pick data IDs that exist, each type as likely as any other."""
    source = random.Random(seed)
    out = []
    for _ in range(count):
        number = source.randrange(content.runs)
        kind = source.choice(content.kinds_of(number))
        columns = data_ids(kind.dimensions, kind.per_run)
        row = source.randrange(kind.per_run)
        values = [column[row] for column in columns.values()]
        data_id = tuple(v if isinstance(v, str) else int(v) for v in values)
        out.append((kind, content.run_name(number), data_id))
    return out


def examples(content: Content) -> dict[str, Kind]:
    """A small, a middling and a large type."""
    return {"small": content.kinds[-1], "large": content.kinds[1], "raw": content.kinds[0]}


def read(layout: Layout, root: Path) -> dict[str, Any]:
    """Measure opening and our own look-ups."""
    open_storage(str(root))
    base = rss_mb()
    out: dict[str, Any] = {"open_ms": 1e3 * least(5, lambda: Lake.open(open_storage(str(root))))}
    snapshot = Lake.open(open_storage(str(root))).snapshot()
    out["open_mb"] = rss_mb() - base
    keys = some_keys(layout.content, POINTS, 1)

    def points() -> None:
        for kind, run, data_id in keys:
            if len(layout.find(snapshot, kind, run, data_id)) != 1:
                raise RuntimeError(f"{kind.name} {data_id} in {run} is not found once")

    out["find_cold_ms"] = 1e3 * least(1, points) / POINTS
    out["find_warm_us"] = 1e6 * least(5, points) / POINTS
    position = {t: s.position["id"] for t, s in snapshot.schemas().items() if s.id}
    table = "dataset" if layout.letter == "d" else None
    rows = [(table or layout.table(k), layout.find(snapshot, k, r, d)[0]) for k, r, d in keys[:IDS]]
    ids = [row[position[name]] for name, row in rows]
    out["by_id_first_s"] = least(1, lambda: layout.find_id(snapshot, ids[0]))
    everything = lambda: [layout.find_id(snapshot, i) for i in ids]  # noqa: E731
    everything()
    out["by_id_us"] = 1e6 * least(3, everything) / IDS
    counted = lambda: {kind.name: layout.count(snapshot, kind) for kind in layout.content.kinds}  # noqa: E731
    out["count_manifest_ms"] = 1e3 * least(3, counted)
    if sum(counted().values()) != layout.content.total():
        raise RuntimeError("the counts of the types do not add up")
    for name, kind in examples(layout.content).items():
        out[f"scan_{name}_ms"] = 1e3 * least(
            5, lambda kind=kind: snapshot.scan(layout.table(kind), where=layout.where(kind))
        )
    out["read_mb"] = rss_mb() - base
    return out


def query(layout: Layout, root: Path) -> dict[str, Any]:
    """Measure DuckDB over the files that the manifest names."""
    snapshot = Lake.open(open_storage(str(root))).snapshot()
    base = rss_mb()
    connection = duckdb.connect(config={"threads": 2})

    def views() -> None:
        for table in snapshot.schemas():
            connection.execute(f'CREATE OR REPLACE VIEW "{table}" AS {relation(snapshot, table).sql}')
        for kind in layout.content.kinds:
            connection.execute(f'CREATE OR REPLACE VIEW "{kind.name}" AS {layout.sql(kind)}')

    out: dict[str, Any] = {"views_s": least(1, views)}
    keys = some_keys(layout.content, SQL_POINTS, 2)
    out["sql_point_ms"] = 1e3 * least(3, lambda: [_point(connection, key) for key in keys]) / SQL_POINTS
    pruned = lambda: [_pruned_point(layout, snapshot, connection, key) for key in keys]  # noqa: E731
    out["sql_point_pruned_ms"] = 1e3 * least(3, pruned) / SQL_POINTS
    counts = layout.count_sql()
    out["sql_count_ms"] = 1e3 * least(2, lambda: connection.sql(counts).to_arrow_table())
    for name, kind in examples(layout.content).items():
        text = f'FROM "{kind.name}"'
        found = connection.sql(text).to_arrow_table().num_rows
        if found != kind.per_run * (1 if kind.name == RAW else layout.content.runs - 1):
            raise RuntimeError(f"{kind.name} has {found} rows")
        out[f"sql_{name}_ms"] = 1e3 * least(3, lambda text=text: connection.sql(text).to_arrow_table())
    out["sql_mb"] = rss_mb() - base
    return out


def _point(connection: duckdb.DuckDBPyConnection, key: tuple[Kind, str, Key]) -> None:
    kind, run, data_id = key
    where = " AND ".join(f'"{name}" = ?' for name in ("run", *kind.dimensions))
    rows = connection.execute(f'SELECT * FROM "{kind.name}" WHERE {where}', [run, *data_id]).fetchall()
    if len(rows) != 1:
        raise RuntimeError(f"{kind.name} {data_id} in {run} is found {len(rows)} times")


def _pruned_point(
    layout: Layout, snapshot: Snapshot, connection: duckdb.DuckDBPyConnection, key: tuple[Kind, str, Key]
) -> None:
    """As `_point`, but over those files only that the manifest says may hold the row."""
    kind, run, data_id = key
    source = relation(snapshot, layout.table(kind), scopes=[tuple(layout.where(kind, run).values())]).sql
    where = " AND ".join(f'"{name}" = ?' for name in ("collection", *kind.dimensions))
    columns = "id" if layout.letter == "d" else "id, path"
    text = f"SELECT {columns} FROM ({source}) WHERE {where}"
    values = [run, *data_id]
    if "dataset_type" in layout.where(kind):
        text, values = f"{text} AND dataset_type = ?", [*values, kind.name]
    if layout.letter == "d":
        thin = relation(snapshot, "dataset", scopes=[(kind.name, run)]).sql
        text = f"SELECT d.id, d.path FROM ({text}) k JOIN ({thin}) d ON d.id = k.id"
    if len(connection.execute(text, values).fetchall()) != 1:
        raise RuntimeError(f"{kind.name} {data_id} in {run} is not found once")


def script(layout: Layout, root: Path) -> dict[str, Any]:
    """Measure what a user of plain DuckDB waits for: ``views.sql``, then a first answer."""
    connection = duckdb.connect(config={"threads": 2})
    text = (root / "registry/views.sql").read_text()
    with contextlib.chdir(root):
        seconds = least(1, lambda: connection.execute(text))
        kind = examples(layout.content)["small"]
        first = least(1, lambda: connection.sql(f'SELECT count(*) FROM "{kind.name}"').fetchall())
    return {"views_sql_s": seconds, "views_sql_first_ms": 1e3 * first}


PHASES: dict[str, Callable[[Layout, Path], dict[str, Any]]] = {
    "sizes": sizes,
    "read": read,
    "query": query,
    "script": script,
}


# ------------------------------------------------------------------------ reporting

ROWS: tuple[tuple[str, str, str], ...] = (
    ("files", "data files", ",.0f"),
    ("data_mb", "bytes of data, MB", ",.0f"),
    ("checkpoint_kb", "manifest (checkpoint), kB", ",.0f"),
    ("entry_kb", "log entry of the last commit, kB", ",.0f"),
    ("commit_s", "commit of a run of all types, durable, s", ".2f"),
    ("open_ms", "open (parse the manifest), ms", ".1f"),
    ("open_mb", "memory after opening, MB", ".0f"),
    ("find_cold_ms", "our look-up by data ID, first touch, ms", ".2f"),
    ("find_warm_us", "our look-up by data ID, warm, µs", ".0f"),
    ("by_id_first_s", "our look-up by ID alone, first, s", ".2f"),
    ("by_id_us", "our look-up by ID alone, warm, µs", ".0f"),
    ("count_manifest_ms", "datasets per type from the manifest, ms", ".1f"),
    ("scan_small_ms", "our scan of a small type, ms", ".1f"),
    ("scan_large_ms", "our scan of a large type, ms", ".1f"),
    ("scan_raw_ms", "our scan of the raws, ms", ".1f"),
    ("read_mb", "memory after all of that, MB", ".0f"),
    ("views_s", "DuckDB: views of all types, s", ".2f"),
    ("sql_point_ms", "DuckDB: look-up through the view, ms", ".1f"),
    ("sql_point_pruned_ms", "DuckDB: look-up, files pruned by the manifest, ms", ".1f"),
    ("sql_count_ms", "DuckDB: datasets per type, ms", ".0f"),
    ("sql_small_ms", "DuckDB: a small type, ms", ".1f"),
    ("sql_large_ms", "DuckDB: a large type, ms", ".1f"),
    ("sql_raw_ms", "DuckDB: the raws, ms", ".1f"),
    ("sql_mb", "DuckDB: memory, MB", ".0f"),
    ("views_sql_s", "plain DuckDB: running views.sql, s", ".2f"),
    ("views_sql_first_ms", "plain DuckDB: first answer after it, ms", ".1f"),
    ("remove_run_s", "removal of a run: commit, s", ".3f"),
    ("run_files_dropped", "removal of a run: files that fall whole", ",.0f"),
    ("run_files_rewritten", "removal of a run: files to rewrite", ",.0f"),
    ("run_mb_rewritten", "removal of a run: MB to rewrite", ",.1f"),
)


def table(results: dict[str, dict[str, Any]]) -> str:
    """Format the results as Markdown."""
    lines = ["| | " + " | ".join(results) + " |", "|---|" + "---:|" * len(results)]
    for name, text, form in ROWS:
        if not any(name in found for found in results.values()):
            continue
        cells = [format(found[name], form) if name in found else "–" for found in results.values()]
        lines.append(f"| {text} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def one(args: argparse.Namespace) -> None:
    """Do one measurement in this process and print it as JSON."""
    content = Content(args.types, args.datasets, args.runs)
    layout = LAYOUTS[args.layout[0]](content)
    root = Path(args.work) / f"{args.types}-{args.datasets}-{args.runs}" / args.layout
    if args.phase == "build":
        shutil.rmtree(root, ignore_errors=True)
        result = build(layout, root, whole=args.layout[1:] == "1")
        (root / "built.json").write_text(json.dumps(result))
    elif args.phase == "remove":
        result = remove_run(layout, root, root.parent)
    else:
        result = PHASES[args.phase](layout, root)
    print(json.dumps(result))


def measure(args: argparse.Namespace, layout: str, phase: str) -> dict[str, Any]:
    """Do one measurement in a process of its own."""
    sizes = ["--types", str(args.types), "--datasets", str(args.datasets), "--runs", str(args.runs)]
    command = [sys.executable, __file__, *sizes, "--work", args.work, "--layout", layout, "--phase", phase]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{layout} {phase} failed: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return {}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def rounds(args: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what each measurement gave, layout after layout, round after round."""
    root = Path(args.work) / f"{args.types}-{args.datasets}-{args.runs}"
    for layout in args.layouts.split(","):
        made = root / layout / "built.json"
        if args.rebuild or not made.exists():
            measure(args, layout, "build")
        yield layout, json.loads(made.read_text())
    for number in range(args.rounds):
        for phase in args.phases.split(","):
            for layout in args.layouts.split(","):
                begin = time.perf_counter()
                yield layout, measure(args, layout, phase)
                seconds = time.perf_counter() - begin
                print(f"round {number + 1} {phase} {layout}: {seconds:.1f} s", file=sys.stderr)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--types", type=int, default=1000)
    parser.add_argument("--datasets", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layouts", default="a,b,c,d,a1,b1,c1,d1", help="a1: layout a as after compaction")
    parser.add_argument("--phases", default=",".join([*PHASES, "remove"]), help="what to measure")
    parser.add_argument("--work", default=str(Path(tempfile.gettempdir()) / "lakebutler-grouping"))
    parser.add_argument("--rebuild", action="store_true", help="write the repositories again")
    parser.add_argument("--json", help="also write the results to this file")
    parser.add_argument("--layout", help=argparse.SUPPRESS)
    parser.add_argument("--phase", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.phase:
        one(args)
        return
    results: dict[str, dict[str, Any]] = {layout: {} for layout in args.layouts.split(",")}
    for layout, found in rounds(args):
        best = results[layout]
        for name, value in found.items():
            best[name] = min(value, best.get(name, value))
    size = f"{args.types} types, {args.datasets:,} datasets, {args.runs} runs"
    print(f"DuckDB {duckdb.__version__}, pyarrow {pa.__version__}; {size}\n")
    for letter, kind in LAYOUTS.items():
        print(f"- {letter}: {kind.title}; {letter}1: the same as after compaction")
    print("\n" + table(results))
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
