# SPDX-License-Identifier: BSD-3-Clause
"""A file system that fails at one chosen call: before it, after it, half-way, or for good.

While the patches are in place every call of `os` that concerns a path below one
root is counted; the *k*-th one fails.  Everything else goes through.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest

from lakebutler.datastore import local as datastore_local

MODES = ("error", "lost", "torn", "full", "interrupt", "crash", "crash torn")
"""How a call fails.

``error``: nothing was done, and the call says so.  ``lost``: it was done, and the call says it
was not.  ``torn``: half of the bytes were written, then it failed.  ``full``: from here on
there is no room on the disk.  ``interrupt``: it was done, and then Ctrl-C was pressed.
``crash``: the process is dead from here on; ``crash torn``: and half of the bytes were written.
"""

READING = frozenset({"open to read", "scandir"})
WRITING = frozenset({"open to write", "write", "pwrite", "mkdir", "link", "ftruncate"})


class Crash(BaseException):
    """The process is dead; what it still does in ``finally`` blocks has no effect."""


class FaultyOS:
    """Counts the calls that concern files below a root, and lets one fail.

    Parameters
    ----------
    root : `str`
        Absolute path of a directory; or of a file, which covers what has a similar name too.
    at : `int`
        Which call fails, from 1; 0 for none.
    mode : `str`
        How, one of `MODES`.
    """

    def __init__(self, root: str, at: int = 0, mode: str = "error") -> None:
        self.root = os.path.realpath(root)
        self.beside = os.path.join(os.path.dirname(self.root), f".{os.path.basename(self.root)}")
        self.at = at
        self.mode = mode
        self.calls: list[str] = []
        self.fired = False
        self.active = False
        self._dead = self._full = False
        self._mutex = threading.Lock()
        self._ours: set[int] = set()

    # ------------------------------------------------------------------ patching

    @contextmanager
    def installed(self, *, active: bool = True) -> Any:
        """Patch `os` for the time of a block; calls are counted while it is active."""
        self.active = active
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "open", self._open(os.open))
            patch.setattr(os, "close", self._close(os.close))
            for name in ("write", "pwrite", "fsync", "fdatasync", "ftruncate"):
                patch.setattr(os, name, self._on_descriptor(name, getattr(os, name)))
            for name in ("unlink", "mkdir", "rmdir", "scandir", "rename", "replace", "link"):
                place = 1 if name in {"rename", "replace", "link"} else 0
                patch.setattr(os, name, self._on_path(name, getattr(os, name), place))
            syncfs = datastore_local.sync_everything
            patch.setattr(datastore_local, "sync_everything", self._on_path("syncfs", syncfs, 0))
            yield self

    def _covers(self, path: Any) -> bool:
        if isinstance(path, int):
            return False
        text = os.fspath(path)
        return isinstance(text, str) and text.startswith((self.root, self.beside))

    def _open(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
            if not self._covers(path):
                return real(path, flags, mode, **more)
            made = flags & (os.O_CREAT | os.O_TMPFILE & ~os.O_DIRECTORY)
            name = "open to write" if made else "open to read"
            descriptor: int = self._do(name, lambda: real(path, flags, mode, **more))
            self._ours.add(descriptor)
            return descriptor

        return call

    def _close(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def call(descriptor: int) -> None:
            self._ours.discard(descriptor)
            real(descriptor)

        return call

    def _on_descriptor(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(descriptor: int, *args: Any) -> Any:
            if descriptor not in self._ours:
                return real(descriptor, *args)
            half = None
            if name in {"write", "pwrite"}:
                data = memoryview(args[0])
                half = lambda: real(descriptor, data[: max(1, len(data) // 2)], *args[1:])  # noqa: E731
            return self._do(name, lambda: real(descriptor, *args), half)

        return call

    def _on_path(self, name: str, real: Callable[..., Any], place: int) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            if not args or not self._covers(args[place]):
                return real(*args, **more)
            return self._do(name, lambda: real(*args, **more))

        return call

    # ------------------------------------------------------------------- failing

    def _do(self, name: str, act: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        if not self.active:
            return act()
        with self._mutex:
            self.calls.append(name)
            mine = len(self.calls) == self.at and not self.fired
            self.fired = self.fired or mine
        if self._dead:
            raise Crash(name)
        if self._full and name in WRITING:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if not mine:
            return act()
        match self.mode:
            case "full":
                self._full = True
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            case "interrupt":
                made = act()
                if name.startswith("open"):
                    os.close(made)
                raise KeyboardInterrupt
            case "crash" | "crash torn":
                self._dead = True
                if half is not None and self.mode == "crash torn":
                    half()
                raise Crash(name)
            case "lost":
                made = act()
                if name.startswith("open"):
                    os.close(made)
            case "torn" if half is not None:
                half()
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def applies(name: str, mode: str) -> bool:
    """Whether a mode makes a difference for a call."""
    if name in READING:
        return mode in {"error", "crash"}
    match mode:
        case "torn" | "crash torn":
            return name in {"write", "pwrite"}
        case "full":
            return name in WRITING
        case _:
            return True
