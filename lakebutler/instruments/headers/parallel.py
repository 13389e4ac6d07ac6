# SPDX-License-Identifier: BSD-3-Clause
"""Read the headers of many files, in several processes where that pays.

The workers are programs of their own that talk over pipes: unlike `multiprocessing`
they neither copy a process full of threads nor import the caller's script again, so
that ingest in parallel works from a plain script and from a notebook alike.  What goes
over the pipes is pickled by this program for itself.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

from lakebutler.instruments.cameras.camera import Camera
from lakebutler.instruments.headers.file import FileResult, Recent, read_file

__all__ = ["main", "read_files"]

_POOL_PAYS_FROM = 64  # files; below, starting a worker costs more than it saves
_CHUNK = 32
_LENGTH = struct.Struct("<Q")
_COMMAND = "from lakebutler.instruments.headers.parallel import main; main()"


def read_files(
    paths: Sequence[str], cameras: Sequence[Camera], *, processes: int = 1
) -> Iterator[FileResult]:
    """Read the headers of many files.

    Parameters
    ----------
    paths : sequence of `str`
        Local paths or URLs.
    cameras : sequence of `Camera`
        The cameras whose files are wanted.
    processes : `int`, optional
        Worker processes; used when there are enough files to pay for their start.

    Yields
    ------
    result : `FileResult`
        One per path, in the order given.
    """
    if processes <= 1 or len(paths) < _POOL_PAYS_FROM:
        known = Recent()
        for path in paths:
            yield read_file(path, cameras, known)
        return
    yield from _in_processes(paths, cameras, processes)


def _in_processes(paths: Sequence[str], cameras: Sequence[Camera], processes: int) -> Iterator[FileResult]:
    """Read in workers; what one that died was to read is read here."""
    chunks = [paths[i : i + _CHUNK] for i in range(0, len(paths), _CHUNK)]
    workers = _Workers(cameras)
    executor = ThreadPoolExecutor(min(processes, len(chunks)))
    try:
        for results in executor.map(workers.read, chunks):
            yield from results
    finally:
        executor.shutdown(cancel_futures=True)
        workers.close()


class _Workers:
    """One worker process for each thread that asks.

    Parameters
    ----------
    cameras : sequence of `Camera`
        The cameras whose files are wanted.
    """

    def __init__(self, cameras: Sequence[Camera]) -> None:
        self._cameras = tuple(cameras)
        self._own = threading.local()
        self._all: list[subprocess.Popen[bytes]] = []

    def read(self, paths: Sequence[str]) -> Sequence[FileResult]:
        """Let this thread's worker read the headers of some files."""
        try:
            worker = self._worker()
            assert worker.stdin is not None
            assert worker.stdout is not None
            _send(worker.stdin, list(paths))
            answer: Sequence[FileResult] = _receive(worker.stdout)
        except (OSError, EOFError):  # no worker, or it died
            return [read_file(path, self._cameras) for path in paths]
        return answer

    def _worker(self) -> subprocess.Popen[bytes]:
        worker: subprocess.Popen[bytes] | None = getattr(self._own, "worker", None)
        if worker is None:
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
            worker = subprocess.Popen(
                [sys.executable, "-c", _COMMAND],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
            self._own.worker = worker
            self._all.append(worker)
            assert worker.stdin is not None
            _send(worker.stdin, self._cameras)
        return worker

    def close(self) -> None:
        """End the workers."""
        for worker in self._all:
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
        for worker in self._all:
            worker.wait()


def main() -> None:
    """Be a worker: cameras first, then lists of paths, until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    questions = sys.stdin.buffer
    known = Recent()
    with contextlib.suppress(EOFError, BrokenPipeError):
        cameras = _receive(questions)
        while True:
            _send(answers, [read_file(path, cameras, known) for path in _receive(questions)])


def _send(stream: IO[bytes], message: object) -> None:
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    data = stream.read(_LENGTH.unpack(head)[0])
    if len(data) < _LENGTH.unpack(head)[0]:
        raise EOFError
    return pickle.loads(data)  # noqa: S301 - from our own worker, never from a file
