# SPDX-License-Identifier: BSD-3-Clause
"""Skymaps of old repositories, told by their files; nothing in these is ever run or unpickled.

A configuration is a program of assignments, ``config.skyMap['rings'].numRings=120``: those
of constants are read.  The pickle of a skymap holds the name of its class, its
configuration as such a program, and the version of its numbering: they are found among
the arguments of the pickle's instructions, which are listed, not obeyed.
"""

from __future__ import annotations

import ast
import operator
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from lakebutler.errors import RepositoryFormatError
from lakebutler.gen2.reading import read_small
from lakebutler.instruments.skymaps.definition import KINDS

__all__ = ["SkyMapFacts", "read_program", "read_skymap"]

_LARGEST = 1 << 20
_ROOTS = ("config", "root")
_KIND_OF_CLASS = {name: kind for kind, name in KINDS.items()}
_KIND_OF_NAME = {"equat": "equatorial"}
"""Names that differ from ours; others are the same."""

_LEGACY = ("patchInnerDimensions", "patchBorder")
_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}

Assignments = dict[tuple[str, ...], Any]
"""Constants by the attributes and keys that lead to them."""


class SkyMapFacts(NamedTuple):
    """A skymap as a file tells it."""

    facts: dict[str, Any]
    """Parameters, for `SkyMapDefinition.from_facts`."""

    version: int | None
    """How tracts are numbered, if that is told."""


def read_skymap(path: str) -> SkyMapFacts:
    """Read what a configuration or a pickle says of a skymap.

    Parameters
    ----------
    path : `str`
        A file ``.py``, or a pickle.

    Returns
    -------
    told : `SkyMapFacts`
        What it says.

    Raises
    ------
    RepositoryFormatError
        Raised if it cannot be read, or tells no skymap.
    """
    data = read_small(path, _LARGEST, "skymap")
    told = _of_program(data) if path.endswith(".py") else _of_pickle(data)
    if told is None:
        raise RepositoryFormatError(f"{path} does not say what its skymap is")
    return told


# ---------------------------------------------------------------------- program


def read_program(text: str | bytes) -> Assignments:
    """Read the assignments of constants in a configuration.

    Parameters
    ----------
    text : `str` or `bytes`
        The program.

    Returns
    -------
    found : `dict`
        Values by the attributes and keys below ``config``, or ``root`` as it was once
        called; the last assignment counts.  Empty if it is no Python.
    """
    try:
        tree = ast.parse(text)
        found: Assignments = {}
        for node in tree.body:
            if isinstance(node, ast.Assign):
                value = _constant(node.value)
                for target in node.targets:
                    path = _path(target)
                    if path and value is not None:
                        found[path] = value
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return {}
    return found


def _path(node: ast.expr) -> tuple[str, ...]:
    """Attributes and keys of a target; none if it is anything else."""
    parts: list[str] = []
    while True:
        if isinstance(node, ast.Attribute):
            parts.append(node.attr)
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            parts.append(str(node.slice.value))
        else:
            break
        node = node.value
    return tuple(reversed(parts)) if isinstance(node, ast.Name) and node.id in _ROOTS else ()


def _constant(node: ast.expr) -> Any:
    """Value of an expression of numbers and texts; `None` for any other."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List | ast.Tuple):
        items = [_constant(item) for item in node.elts]
        return None if None in items else items
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _constant(node.operand)
        return -value if _is_number(value) else None
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _constant(node.left), _constant(node.right)
        if not (_is_number(left) and _is_number(right)) or (isinstance(node.op, ast.Div) and not right):
            return None
        return _OPERATORS[type(node.op)](left, right)
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def _of_program(text: str | bytes) -> SkyMapFacts | None:
    found = read_program(text)
    kind = found.get(("skyMap", "name"), found.get(("skyMap",)))
    if not isinstance(kind, str):
        return None
    below = ("skyMap", kind)
    own = {path[2:]: value for path, value in found.items() if path[:2] == below}
    return SkyMapFacts(_facts(_KIND_OF_NAME.get(kind, kind), own), None)


def _facts(kind: str, own: Assignments) -> dict[str, Any]:
    """Parameters, as our definitions have them."""
    builder = own.get(("tractBuilder", "name"), own.get(("tractBuilder",), "legacy"))
    facts: dict[str, Any] = {"kind": kind, "tractBuilder": builder}
    of_builder: dict[str, Any] = {}
    for path, value in own.items():
        if path[:2] == ("tractBuilder", builder) and len(path) == 3:
            of_builder[path[2]] = value
        elif len(path) == 1 and path[0] in _LEGACY:  # before there were builders
            of_builder.setdefault(path[0], value)
        elif len(path) == 1 and path[0] != "tractBuilder":
            facts[path[0]] = value
    if isinstance(builder, str) and of_builder:
        facts[builder] = of_builder
    return facts


# ----------------------------------------------------------------------- pickle


def _of_pickle(data: bytes) -> SkyMapFacts | None:
    kind: str | None = None
    own: Assignments = {}
    version = 0  # of those that say none
    try:
        for value in _arguments(data):
            if isinstance(value, int):
                version = value
                continue
            last = value.split()[-1] if value.split() else ""
            if last in _KIND_OF_CLASS:
                kind = kind or _KIND_OF_CLASS[last]
            elif not own and "=" in value:
                own = read_program(value)
    except (ValueError, IndexError, KeyError, struct.error, OverflowError, MemoryError):
        return None
    return None if kind is None or not own else SkyMapFacts(_facts(kind, own), version)


def _arguments(data: bytes) -> Iterator[str | int]:
    """Texts and numbers that the instructions of a pickle have, but for those of its memory."""
    import pickletools

    for opcode, value, _ in pickletools.genops(data):
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, str) or (type(value) is int and "INT" in opcode.name):
            yield value
