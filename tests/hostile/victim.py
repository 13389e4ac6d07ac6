# SPDX-License-Identifier: BSD-3-Clause
"""Somebody who opens hostile repositories, does with them all there is to do, and is watched.

Run as ``python -m tests.hostile.victim JOBS`` with a JSON file of jobs; a line of JSON comes
out for each.  Each job is done in a process of its own, forked from this one when all that
is needed has been imported.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib
import io
import json
import os
import pkgutil
import resource
import select
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

BAIT = {"this", "antigravity", "evilmod", "sitecustomize", "lakebutler_plugin"}
WRITES = {
    "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink",
    "os.truncate", "os.utime", "shutil.rmtree", "shutil.move", "shutil.copyfile",
}  # fmt: skip
FORBIDDEN = {
    "ctypes.dlopen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "pickle.find_class", "pty.spawn",
    "socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen", "urllib.Request", "os.fork",
    "os.forkpty", "webbrowser.open",
}  # fmt: skip
HARMLESS = (
    "/proc/",
    "/sys/",
    "/dev/null",
    "/dev/urandom",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/etc/mime",
)
CPU_SECONDS = 10
MEMORY = 1 << 30
WALL_SECONDS = 90
SLOW = (
    "restore", "diff", "cli diff", "cli query-datasets", "clone", "compact", "cli verify --table",
    "cli query-dimension-records instrument --json", "sql of", "query label", "query bias",
    "records of exposure",
)  # fmt: skip
"""Deeds that are left out unless there is time."""


# --------------------------------------------------------------------------- watching


class Watch:
    """An audit hook that notes what must not happen.

    Parameters
    ----------
    places : sequence of `str`
        Where files may be opened, made and removed.
    readable : sequence of `str`
        Where files may be read.
    """

    def __init__(self, places: list[str], readable: list[str]) -> None:
        self.places = tuple(os.path.realpath(p) for p in places)
        self.readable = tuple(os.path.realpath(p) for p in readable)
        self.seen: list[str] = []
        self.on = False
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open":
            self._open(*arguments)
        elif event == "import":
            if str(arguments[0]).partition(".")[0] in BAIT:
                self.seen.append(f"import {arguments[0]}")
        elif event in WRITES:
            for place in arguments[:2]:
                if isinstance(place, str | bytes) and not self._inside(place, self.places, follow=False):
                    self.seen.append(f"{event} {place!r:.200}")
        elif event in FORBIDDEN and not (event == "ctypes.dlopen" and arguments[0] is None):
            self.seen.append(f"{event} {arguments!r:.200}")

    def _open(self, path: Any, mode: Any, flags: int) -> None:
        if not isinstance(path, str | bytes):
            return
        text, follow = os.fsdecode(path), not flags & os.O_NOFOLLOW
        if text.startswith(HARMLESS) or self._inside(text, self.places, follow=follow):
            return
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        if writes or not self._inside(text, self.readable):
            self.seen.append(f"open {text!r:.200} {flags:#x}")

    @staticmethod
    def _inside(path: str | bytes, places: tuple[str, ...], *, follow: bool = True) -> bool:
        """Whether a path leads below a place; without ``follow`` its last part may be a link."""
        text = os.fsdecode(path)
        with contextlib.suppress(ValueError, OSError):
            if follow:
                text = os.path.realpath(text)
            else:
                text = os.path.join(os.path.realpath(os.path.dirname(text)), os.path.basename(text))
        return any(text == place or text.startswith(place + "/") for place in places)


class Looked:
    """Whether anybody opened or changed something in a directory, C++ included (inotify)."""

    OPEN, ACCESS, MODIFY, CREATE, DELETE = 0x20, 0x1, 0x2, 0x100, 0x200

    def __init__(self, folder: str) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        mask = self.ACCESS | self.MODIFY | self.CREATE | self.DELETE | self.OPEN
        self.good = libc.inotify_add_watch(self.descriptor, folder.encode(), mask) >= 0

    def events(self) -> list[str]:
        """What happened, each once."""
        out = []
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.descriptor, 65536):
                while data:
                    _, mask, _, length = struct.unpack("iIII", data[:16])
                    name = data[16 : 16 + length].rstrip(b"\0").decode(errors="replace")
                    data = data[16 + length :]
                    if name:  # opening the folder itself, to look whether it is inside, is no harm
                        out.append(f"inotify {mask & 0xFFFF:#x} {name}")
        os.close(self.descriptor)
        return list(dict.fromkeys(out))


# ----------------------------------------------------------------------------- deeds


def deeds(target: str, work: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """All there is to do with a repository; each may be refused."""
    from lakebutler import Butler
    from lakebutler.butler.maintenance.clone import clone
    from lakebutler.butler.maintenance.pack import pack, unpack
    from lakebutler.butler.maintenance.verify import verify

    reader = Holder(lambda: Butler.from_config(target, collections=["u/good", "chain"]))
    writer = Holder(lambda: Butler.from_config(target, run="u/good"))
    yield "open", lambda: Butler.from_config(target).close()
    yield "open with collections", reader.get
    yield from looking(reader)
    for name in ("u/good", "chain", "*"):
        yield f"collections {name}", lambda name=name: reader.get().collections.query(name)
    yield "tags", lambda: [t.version for t in reader.get().tags()]
    yield "history", lambda: [(e.op, e.message, dict(e.writer)) for e in reader.get().history()]
    yield "diff", lambda: [str(change) for change in [reader.get().diff(1)]]
    yield "as of", lambda: Butler.from_config(target, as_of="dr1").close()
    yield "verify", lambda: [f.detail for f in verify(target).findings]
    yield "pack", lambda: pack(target, f"{work}/packed.lake")
    yield "unpack", lambda: unpack(target, f"{work}/unpacked")
    yield "clone", lambda: clone(target, f"{work}/clone")
    yield from telling(target)
    yield from changing(writer)
    yield "close", reader.close
    yield "close the writer", writer.close


class Holder:
    """A butler that is opened when it is first needed."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._butler: Any = None

    def get(self) -> Any:
        if self._butler is None:
            self._butler = self._make()
        return self._butler

    def close(self) -> None:
        if self._butler is not None:
            self._butler.close()


def looking(reader: Holder) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Questions, and reading what they find."""
    yield "dataset types", lambda: [t.storageClass for t in reader.get().registry.queryDatasetTypes()]
    for name in ("note", "label", "array", "catalog", "bias"):
        refs: list[Any] = []

        def find(name: str = name, refs: list[Any] = refs) -> None:
            refs.extend(
                reader.get().query_datasets(name, ["u/good", "chain"], find_first=False, explain=False)[:20]
            )

        def each(verb: str, refs: list[Any] = refs) -> Callable[[], Any]:
            return lambda: [getattr(reader.get(), verb)(ref) for ref in refs]

        yield f"query {name}", find
        for verb in ("get", "getURI", "exists", "stored"):
            yield f"{verb} {name}", each(verb)
        yield f"retrieve {name}", lambda refs=refs: reader.get().retrieveArtifacts(refs, f"{WORK[0]}/out")
    yield "get by data id", lambda: reader.get().get("note", instrument="Cam1", exposure=101, detector=0)
    for name in ("label", "array"):
        yield (
            f"get {name} from a run",
            lambda name=name: reader.get().get(name, instrument="Cam1", collections="u/good"),
        )
    yield (
        "where",
        lambda: reader.get().query_datasets(
            "note", "u/good", where="exposure.seq_num > 0 AND detector.raft != 'x'", explain=False
        ),
    )
    for element in ("instrument", "detector", "visit", "exposure"):
        yield (
            f"records of {element}",
            lambda e=element: [
                (r.dataId, getattr(r, "region", None), getattr(r, "timespan", None))
                for r in reader.get().query_dimension_records(e, explain=False)
            ],
        )
    yield (
        "overlap of times",
        lambda: reader.get().query_data_ids(
            ["visit"], where="visit.timespan OVERLAPS T'2025-01-01'", explain=False
        ),
    )
    yield "sql", lambda: reader.get().sql("SELECT count(*), min(id), max(run) FROM note").fetchall()
    yield "sql of dimensions", lambda: reader.get().sql("SELECT * FROM detector").fetchall()
    yield "summary", lambda: reader.get().registry.getCollectionSummary("chain")
    yield "html", lambda: reader.get()._repr_html_()


WORK = [""]


def telling(target: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The command line, whose output goes to a terminal."""
    for line in (
        "query-collections", "query-dataset-types --verbose", "query-datasets *", "log", "tag",
        "verify", "query-dimension-records instrument", "diff 1",
    ):  # fmt: skip
        verb, *rest = line.split()
        for kind in ("--table", "--json"):
            yield f"cli {line} {kind}", lambda v=verb, r=rest, k=kind: command(v, target, *r, k)


def command(*arguments: str) -> None:
    """Run the command line; what it prints must not steer a terminal."""
    from lakebutler.cli.main import main

    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(list(arguments))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    text = out.getvalue() + err.getvalue()
    assert "Traceback" not in text, f"a traceback: {text[-300:]!r}"
    assert "may be a fault in lakebutler" not in text, text[-400:]
    odd = sorted({c for c in text if (ord(c) < 32 and c not in "\n\t") or c in "\x7f\x9b\u202e"})
    assert not odd, f"control characters {odd!r} are printed: {text[:300]!r}"
    assert code in {0, 1, 2, 3, 4}, code


def changing(writer: Holder) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Puts, removals, maintenance."""
    from datetime import timedelta

    from lakebutler import CollectionType
    from lakebutler.butler.maintenance.garbage import collect_garbage, vacuum

    butler = writer.get
    yield "open for writing", butler
    yield "put", lambda: butler().put({"n": 9}, "note", instrument="Cam1", exposure=102, detector=1)
    yield "register a run", lambda: butler().collections.register("u/fresh")
    yield "put a text", lambda: butler().put("t", "label", instrument="Cam1", run="u/fresh")
    yield "register", lambda: butler().collections.register("fresh", CollectionType.TAGGED)
    yield "tag", lambda: butler().tag("now")
    yield "checkpoint", lambda: butler().repository.lake.checkpoint()
    yield "compact", lambda: butler().repository.lake.compact(everything=True)
    yield (
        "remove datasets",
        lambda: butler().registry.removeDatasets(
            butler().query_datasets("note", "u/good", find_first=False, explain=False)
        ),
    )
    yield "remove collection", lambda: butler().registry.removeCollection("u/other")
    yield "restore", lambda: butler().restore(3)
    yield "gc", lambda: collect_garbage(butler().repository, timedelta(0), delete=True, offline=True)
    yield "vacuum", lambda: vacuum(butler().repository, timedelta(0), delete=True, offline=True)


# ------------------------------------------------------------------------------ a job


def judge(function: Callable[[], Any]) -> dict[str, Any]:
    """Do one thing; say how it ended."""
    from lakebutler import ButlerError

    try:
        function()
    except ButlerError as error:
        return {"end": type(error).__name__, "said": str(error)}
    except AssertionError as error:
        return {"end": "wrong", "said": str(error)[:600]}
    except BaseException as error:
        lines = traceback.format_exception(error)
        return {
            "end": "foreign",
            "said": f"{type(error).__name__}: {error!s:.200}",
            "trace": "".join(lines)[-1500:],
        }
    return {"end": "fine", "said": ""}


def problem_of(name: str, found: dict[str, Any]) -> str | None:
    """Say what is wrong with how something ended."""
    if found["end"] in ("wrong", "foreign"):
        return f"{name}: {found['said']}\n{found.get('trace', '')}"
    said = found["said"]
    if len(said.splitlines()) > 4 or len(said) > 1500:
        return f"{name}: an error of {len(said.splitlines())} lines, {len(said)} characters: {said[:200]!r}"
    return None


def do(job: dict[str, Any], watch_places: list[str]) -> dict[str, Any]:
    """Do everything with one repository."""
    from tests.hostile import plants

    WORK[0] = job["work"]
    os.chdir(job["root"])
    sys.path.insert(0, "")
    os.environ["HOME"] = job["secret"]
    if job.get("plant"):
        getattr(plants, job["plant"])()
    watch = Watch([job["root"], job["work"], job["user"], job["target"]], watch_places)
    ends: dict[str, str] = {}
    times: dict[str, float] = {}
    problems: list[str] = []
    watch.on = True
    for name, function in deeds(job["target"], job["work"]):
        if name.startswith(SLOW) and not job["slow"]:
            continue
        started = time.process_time()
        found = judge(function)
        took = time.process_time() - started
        ends[name] = found["end"]
        times[name] = round(took, 3)
        problem = problem_of(name, found)
        if problem is not None:
            problems.append(problem)
        if took > CPU_SECONDS:
            problems.append(f"{name}: {took:.1f} s")
        if watch.seen:
            problems += [f"{name}: {what}" for what in watch.seen]
            watch.seen.clear()
    watch.on = False
    problems += [f"imported {name}" for name in BAIT & sys.modules.keys()]
    return {"ends": ends, "times": times, "problems": problems}


def contents(folder: str) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "-"
        for path in sorted(Path(folder).rglob("*"))
        if not path.is_fifo()
    }


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (6 << 30, 6 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def attempt(job: dict[str, Any], readable: list[str], listener: socket.socket) -> dict[str, Any]:
    """Do a job in a process of its own, and look at what it left behind."""
    before, looked = contents(job["secret"]), Looked(job["secret"])
    incoming, outgoing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(incoming)
        listener.close()
        with contextlib.suppress(BaseException):
            limit()
            with os.fdopen(outgoing, "w") as stream:
                json.dump(do(job, readable), stream)
        os._exit(0)
    os.close(outgoing)
    answer = gather(incoming, pid)
    _, status, usage = os.wait4(pid, 0)
    try:
        result = json.loads(answer)
    except ValueError:
        result = {"ends": {}, "problems": [f"it did not end: status {status}"]}
    problems: list[str] = result["problems"]
    problems += looked.events()
    if usage.ru_maxrss * 1024 > MEMORY:
        problems.append(f"it took {usage.ru_maxrss >> 10} MiB of memory")
    if contents(job["secret"]) != before:
        problems.append("something outside was changed")
    if select.select([listener], [], [], 0)[0]:
        listener.accept()[0].close()
        problems.append("it connected to an address")
    return {"name": job["name"], "memory": usage.ru_maxrss >> 10, **result}


def gather(descriptor: int, pid: int) -> bytes:
    """Read what the other process says, until it ends or its time is up."""
    answer, end = b"", time.monotonic() + WALL_SECONDS
    while (left := end - time.monotonic()) > 0:
        if select.select([descriptor], [], [], left)[0]:
            part = os.read(descriptor, 65536)
            if not part:
                os.close(descriptor)
                return answer
            answer += part
    os.kill(pid, signal.SIGKILL)
    os.close(descriptor)
    return b""


def warm_up() -> None:
    """Import what the deeds need, so that forked processes need not."""
    import astropy.nddata
    import astropy.table
    import astropy.time
    import duckdb
    import lsst.resources
    import lsst.sphgeom
    import numpy
    import pandas
    import pyarrow.dataset
    import pyarrow.parquet

    import lakebutler.butler.maintenance.clone
    import lakebutler.butler.maintenance.garbage
    import lakebutler.butler.maintenance.pack
    import lakebutler.butler.maintenance.verify
    import lakebutler.cli.main

    assert all((astropy, duckdb, lsst, numpy, pandas, pyarrow, lakebutler))
    for module in pkgutil.walk_packages(lakebutler.__path__, "lakebutler."):
        if "testing" not in module.name and "__main__" not in module.name:
            importlib.import_module(module.name)
    lakebutler.query.parse.parse("visit > 1 AND exposure.timespan OVERLAPS T'2025-01-01'")


def main() -> None:
    jobs = json.loads(Path(sys.argv[1]).read_text())
    warm_up()
    readable = [sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]), os.path.dirname(os.__file__)]
    with socket.socket(fileno=jobs["listener"]) as listener:
        for job in jobs["jobs"]:
            print(json.dumps(attempt(job, readable, listener)), flush=True)


if __name__ == "__main__":
    main()
