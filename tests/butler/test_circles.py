# SPDX-License-Identifier: BSD-3-Clause
"""No module of the butler needs itself, by whatever way round."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import lakebutler

ROOT = Path(lakebutler.__file__).parent


def modules(package: str) -> dict[str, Path]:
    """Modules of a package by name."""
    found = (ROOT / package).rglob("*.py")
    return {".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path for path in found}


def imported(path: Path) -> set[str]:
    """Everything that a module may import: at its top, inside of functions, for its types only."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize(
    "package",
    [
        "butler",
        "registry",
        "datasets",
        "datastore",
        "collections",
        "query",
        "gen2",
        "instruments",
        "lake",
    ],
)
def test_no_module_imports_another_in_a_circle(package: str) -> None:
    known = modules(package)
    graph = {name: imported(path) & set(known) - {name} for name, path in known.items()}
    assert any(graph.values())
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))
