# SPDX-License-Identifier: BSD-3-Clause
"""Python's collector of cyclic garbage, told to wait while many values are made at once.

A change of 100,000 rows makes some hundred thousand tuples and UUIDs that all stay alive until its
end.  Each time their number has grown by a quarter the collector walks through everything that the
process holds, the caller's own lists of references first of all, and finds nothing: measured, that
was two thirds of the time of a `disassociate`.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator

__all__ = ["collector_paused"]

_lock = threading.Lock()
_inside = [0]
"""How many blocks are open, in all threads; a list, so that it can be changed."""

_was_enabled = [False]


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Let no garbage of cycles be collected inside the block, in any thread.

    Blocks may lie in each other and run in several threads: collecting goes on after the last
    one.  Where it was turned off before, it stays off.
    """
    with _lock:
        if not _inside[0]:
            _was_enabled[0] = gc.isenabled()
            gc.disable()
        _inside[0] += 1
    try:
        yield
    finally:
        with _lock:
            _inside[0] -= 1
            if not _inside[0] and _was_enabled[0]:
                gc.enable()
