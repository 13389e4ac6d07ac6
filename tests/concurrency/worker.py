# SPDX-License-Identifier: BSD-3-Clause
"""What the processes of the concurrency tests do; each in a process of its own."""

from __future__ import annotations

import os
import time
from typing import Any

from lakebutler import Butler
from lakebutler.errors import ConflictingDefinitionError

CAM = "Cam1"


def content(who: str, number: int) -> dict[str, Any]:
    """What a dataset must hold."""
    return {"who": who, "number": number}


def where(number: int) -> dict[str, Any]:
    return {"instrument": CAM, "detector": number}


def write(url: str, options: dict[str, Any], run: str, numbers: range, barrier: Any, results: Any) -> None:
    """Put datasets; say which were won, and which another had put before."""
    won: list[int] = []
    lost: list[int] = []
    slowest = 0.0
    failure = ""
    try:
        with Butler.from_config(url, run=run, storage_options=options) as butler:
            butler.collections.query("*")
            barrier.wait()
            me = str(os.getpid())
            for number in numbers:
                start = time.perf_counter()
                try:
                    butler.put(content(me, number), "busy", where(number))
                except ConflictingDefinitionError:
                    lost.append(number)
                else:
                    won.append(number)
                slowest = max(slowest, time.perf_counter() - start)
    except BaseException as exc:
        failure = f"{type(exc).__name__}: {exc}"
        barrier.abort()
        raise
    finally:
        results.put((str(os.getpid()), run, won, lost, slowest, failure))


def read(url: str, options: dict[str, Any], barrier: Any, stop: Any, results: Any) -> None:
    """Query and read until told to stop; every answer must be whole."""
    rounds, seen, failure = 0, 0, ""
    try:
        barrier.wait()
        while not stop.is_set() or rounds == 0:
            with Butler.from_config(url, storage_options=options) as butler:
                for _ in range(5):
                    runs = butler.collections.query("busy/*")
                    if not runs:
                        continue
                    refs = butler.query_datasets("busy", runs, find_first=False, explain=False)
                    if len(refs) < seen:
                        raise AssertionError(f"{seen} datasets were there, now {len(refs)}")
                    seen = len(refs)
                    for ref in refs[-3:]:
                        got = butler.get(ref)
                        if got["number"] != ref.dataId["detector"]:
                            raise AssertionError(f"{ref} holds {got}")
            rounds += 1
    except BaseException as exc:
        failure = f"{type(exc).__name__}: {exc}"
    finally:
        results.put(("reader", "", [rounds], [seen], 0.0, failure))
