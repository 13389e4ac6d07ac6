# SPDX-License-Identifier: BSD-3-Clause
"""What a program did to the files below a directory, call by call, as ``strace`` saw it.

From the calls one can say what a disk may hold after a power cut: whatever was synced
to it, and of the rest any part.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

CALLS = (
    "open,openat,creat,close,write,pwrite64,writev,pwritev,lseek,fsync,fdatasync,syncfs,sync,rename,renameat,"
    "renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,ftruncate,truncate,copy_file_range,sendfile,"
    "fallocate,dup,dup2,dup3,symlink,symlinkat"
)
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")
_UNFINISHED = re.compile(r"(\d+) +(\w+\(.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)$")


def has_strace() -> bool:
    """Whether ``strace`` is there and may trace."""
    program = shutil.which("strace")
    if program is None:
        return False
    return (
        subprocess.run([program, "-o", os.devnull, "true"], check=False, capture_output=True).returncode == 0
    )


def trace(command: list[str], folder: Path, env: dict[str, str]) -> list[tuple[str, list[str], int]]:
    """Run a command; return its calls as name, arguments and result."""
    out = folder / "strace"
    done = subprocess.run(
        ["strace", "-f", "-xx", "-s", "100000000", "-e", f"trace={CALLS}", "-o", str(out), *command],
        check=False,
        capture_output=True,
        env=env,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return list(_calls(out.read_text().splitlines()))


def _calls(lines: Iterable[str]) -> Iterator[tuple[str, list[str], int]]:
    begun: dict[str, str] = {}
    for line in lines:
        if found := _UNFINISHED.match(line):
            begun[found.group(1)] = found.group(2)
            continue
        if (found := _RESUMED.match(line)) and found.group(1) in begun:
            line = f"{found.group(1)} {begun.pop(found.group(1))}{found.group(2)}"
        if found := _LINE.match(line):
            yield found.group(2), found.group(3).split(", "), int(found.group(4))


def text(argument: str) -> bytes:
    """Bytes of a string as ``strace -xx`` prints it."""
    return bytes.fromhex(argument.strip('"').replace("\\x", ""))


# ------------------------------------------------------------------------- the model


@dataclass(eq=False)
class Node:
    """A file or a directory, whatever its names."""

    content: bytes = b""
    entries: dict[str, Node] | None = None


@dataclass(eq=False)
class Op:
    """One change of one file or directory, that is on the disk from some sync on.

    Parameters
    ----------
    nodes : `tuple` [`Node`]
        What has to be synced for it to be durable.
    apply : callable
        Makes the change, given the contents and entries so far; and how much of it.
    tears : `bool`
        Whether a part of it may be on the disk.
    durable : `int`
        After how many calls it is on the disk for sure.
    """

    at: int
    nodes: tuple[Node, ...]
    apply: Callable[[State, float], None]
    tears: bool = False
    durable: int = 1 << 60


@dataclass
class State:
    """Contents of files and entries of directories."""

    contents: dict[Node, bytes] = field(default_factory=dict)
    entries: dict[Node, dict[str, Node]] = field(default_factory=dict)

    def content(self, node: Node) -> bytes:
        return self.contents.get(node, node.content)

    def names(self, node: Node) -> dict[str, Node]:
        if node not in self.entries:
            self.entries[node] = dict(node.entries or {})
        return self.entries[node]


@dataclass
class Open:
    """An open file."""

    node: Node | None
    place: int = 0
    path: str = ""
    append: bool = False


class Recording:
    """The calls of a program, understood.

    Parameters
    ----------
    root : `pathlib.Path`
        Directory or file, as it was before: taken to be on the disk.
    """

    def __init__(self, root: Path, start: Path) -> None:
        self.root = str(root)
        self.top = Node(entries={root.name: _read(start)})
        self.ops: list[Op] = []
        self.acks: list[int] = []
        self._count = 0
        self._now = State()
        self._files: dict[int, Open] = {}

    # ------------------------------------------------------------------- reading

    def take(self, calls: Iterable[tuple[str, list[str], int]]) -> None:
        """Take in calls."""
        for name, arguments, result in calls:
            self._count += 1
            if result >= 0:
                getattr(self, f"_{name}", self._unknown)(arguments, result)

    def _unknown(self, arguments: list[str], result: int) -> None:
        """Calls that must not concern our files."""
        for argument in arguments:
            if argument.isdigit() and int(argument) in self._files and self._files[int(argument)].node:
                raise AssertionError(f"a call that is not understood: {arguments}")

    def _resolve(self, folder: str, path: str) -> str:
        name = text(path).decode()
        if not name.startswith("/") and folder != "AT_FDCWD":
            return f"{self._files[int(folder)].path}/{name}"
        return os.path.normpath(os.path.join("/", name))

    def _find(self, path: str) -> tuple[Node, str] | None:
        """Return the directory that holds a path, and the name in it."""
        place = os.path.dirname(self.root)
        if not path.startswith(place + "/"):
            return None
        node = self.top
        *folders, name = path[len(place) + 1 :].split("/")
        for folder in folders:
            below = self._now.names(node).get(folder)
            if below is None:
                return None
            node = below
        return node, name

    def _node(self, path: str) -> Node | None:
        if path == os.path.dirname(self.root):
            return self.top
        found = self._find(path)
        return self._now.names(found[0]).get(found[1]) if found else None

    def _do(
        self, nodes: tuple[Node, ...], apply: Callable[[State, float], None], *, tears: bool = False
    ) -> None:
        op = Op(self._count, nodes, apply, tears)
        op.apply(self._now, 1)
        self.ops.append(op)

    def _link_in(
        self, folder: Node, name: str, node: Node | None, more: tuple[Node, str] | None = None
    ) -> None:
        def apply(state: State, _: float) -> None:
            if more is not None:
                state.names(more[0]).pop(more[1], None)
            if node is None:
                state.names(folder).pop(name, None)
            else:
                state.names(folder)[name] = node

        self._do((folder,) if more is None else (folder, more[0]), apply)

    # --------------------------------------------------------------------- calls

    def _openat(self, arguments: list[str], result: int) -> None:
        path, flags = self._resolve(arguments[0], arguments[1]), arguments[2]
        self._files[result] = Open(None, 0, path)
        if "O_TMPFILE" in flags and self._node(path) is not None:
            self._files[result].node = Node()
            return
        node = self._node(path)
        found = self._find(path)
        if node is None and "O_CREAT" in flags and found is not None:
            node = Node()
            self._link_in(*found, node)
        if node is not None and "O_TRUNC" in flags:
            self._cut(node, 0)
        self._files[result].node = node
        self._files[result].append = "O_APPEND" in flags

    def _close(self, arguments: list[str], _: int) -> None:
        self._files.pop(int(arguments[0]), None)

    def _lseek(self, arguments: list[str], result: int) -> None:
        if int(arguments[0]) in self._files:
            self._files[int(arguments[0])].place = result

    def _write(self, arguments: list[str], result: int) -> None:
        number = int(arguments[0])
        data = text(arguments[1])[:result]
        if number == 1 and data.startswith(b"ACK"):
            self.acks.append(self._count)
        file = self._files.get(number)
        if file is None or file.node is None:
            return
        if file.append:
            file.place = len(self._now.content(file.node))
        self._put(file.node, data, file.place)
        file.place += result

    def _pwrite64(self, arguments: list[str], result: int) -> None:
        file = self._files.get(int(arguments[0]))
        if file is not None and file.node is not None:
            self._put(file.node, text(arguments[1])[:result], int(arguments[3]))

    def _put(self, node: Node, data: bytes, place: int) -> None:
        def apply(state: State, share: float) -> None:
            part = data[: int(len(data) * share)]
            old = state.content(node)
            old += bytes(max(0, place - len(old)))
            state.contents[node] = old[:place] + part + old[place + len(part) :]

        self._do((node,), apply, tears=True)

    def _ftruncate(self, arguments: list[str], _: int) -> None:
        file = self._files.get(int(arguments[0]))
        if file is not None and file.node is not None:
            self._cut(file.node, int(arguments[1]))

    def _cut(self, node: Node, length: int) -> None:
        def apply(state: State, _: float) -> None:
            old = state.content(node)
            state.contents[node] = old[:length] + bytes(max(0, length - len(old)))

        self._do((node,), apply)

    def _fsync(self, arguments: list[str], _: int) -> None:
        file = self._files.get(int(arguments[0]))
        if file is not None and file.node is not None:
            self._synced(lambda op: file.node in op.nodes)

    _fdatasync = _fsync

    def _syncfs(self, arguments: list[str], _: int) -> None:
        self._synced(lambda op: True)

    _sync = _syncfs

    def _synced(self, which: Callable[[Op], bool]) -> None:
        for op in self.ops:
            if op.durable > self._count and which(op):
                op.durable = self._count

    def _rename(self, arguments: list[str], result: int) -> None:
        self._renameat(["AT_FDCWD", arguments[0], "AT_FDCWD", arguments[1]], result)

    def _renameat(self, arguments: list[str], _: int) -> None:
        old, new = (self._find(self._resolve(*pair)) for pair in (arguments[:2], arguments[2:4]))
        if old and new:
            self._link_in(*new, self._now.names(old[0])[old[1]], old)

    def _renameat2(self, arguments: list[str], result: int) -> None:
        self._renameat(arguments, result)

    def _link(self, arguments: list[str], result: int) -> None:
        self._linkat(["AT_FDCWD", arguments[0], "AT_FDCWD", arguments[1]], result)

    def _linkat(self, arguments: list[str], _: int) -> None:
        old, new = self._resolve(*arguments[:2]), self._find(self._resolve(*arguments[2:4]))
        if new is None:
            return
        if re.fullmatch(r"/proc/(self|\d+)/fd/\d+", old):
            node = self._files[int(old.rsplit("/", 1)[1])].node
        else:
            node = self._node(old) or Node(Path(old).read_bytes())
        self._link_in(*new, node)

    def _unlink(self, arguments: list[str], _: int) -> None:
        self._unlinkat(["AT_FDCWD", arguments[0]], 0)

    def _unlinkat(self, arguments: list[str], _: int) -> None:
        found = self._find(self._resolve(*arguments[:2]))
        if found:
            self._link_in(*found, None)

    _rmdir = _unlink

    def _mkdir(self, arguments: list[str], _: int) -> None:
        found = self._find(self._resolve("AT_FDCWD", arguments[0]))
        if found:
            self._link_in(*found, Node(entries={}))

    # -------------------------------------------------------------------- states

    def moments(self) -> Iterator[tuple[int, list[Op], list[Op]]]:
        """Yield for each call: how many acknowledgements there were, what is on the disk, what may be."""
        times = sorted({op.at for op in self.ops} | {op.durable for op in self.ops} | set(self.acks))
        for now in times:
            if now >= 1 << 60:
                continue
            done = sum(ack <= now for ack in self.acks)
            before = [op for op in self.ops if op.at <= now]
            yield done, [o for o in before if o.durable <= now], [o for o in before if o.durable > now]

    def build(self, chosen: Iterable[tuple[Op, float]]) -> State:
        """Return what the disk holds if just these changes, or parts of them, are on it."""
        state = State()
        for op, share in sorted(chosen, key=lambda pair: pair[0].at):
            op.apply(state, share)
        return state

    def lay_out(self, state: State, folder: Path) -> None:
        """Write a state into a directory."""
        _write(state, self.top, folder)

    def mark(self, state: State) -> tuple[object, ...]:
        """Something that is equal for equal states."""
        return tuple(_mark(state, self.top, ""))


def _read(path: Path) -> Node:
    if path.is_dir():
        return Node(entries={child.name: _read(child) for child in path.iterdir()})
    return Node(path.read_bytes())


def _write(state: State, node: Node, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, child in state.names(node).items():
        if child.entries is not None:
            _write(state, child, folder / name)
        else:
            (folder / name).write_bytes(state.content(child))


def _mark(state: State, node: Node, path: str) -> Iterator[tuple[str, int]]:
    for name, child in sorted(state.names(node).items()):
        if child.entries is not None:
            yield f"{path}/{name}", 0
            yield from _mark(state, child, f"{path}/{name}")
        else:
            yield f"{path}/{name}", hash(state.content(child))
