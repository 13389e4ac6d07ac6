# SPDX-License-Identifier: BSD-3-Clause
"""The rules of the house, as tests."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lakebutler
from lakebutler import errors

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "lakebutler"
MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted([*ROOT.glob("tests/**/*.py"), *ROOT.glob("tools/*.py"), *ROOT.glob("fixtures/**/*.py")])
HEAVY = {
    "aiobotocore", "astro_metadata_translator", "astropy", "botocore", "duckdb", "fsspec", "lark", "lsst",
    "matplotlib", "numpy", "pandas", "polars", "pyarrow", "rich", "s3fs", "yaml",
}  # fmt: skip
MAX_MODULE, MAX_FUNCTION, MAX_CLASS = 600, 60, 300


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    """Lines of a function's or class's body without docstrings, its own and those inside."""
    total = (node.end_lineno or 0) - node.body[0].lineno + 1
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = inner.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                total -= (first.end_lineno or 0) - first.lineno + 1
    return total


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_keeps_to_the_sizes_of_the_house(path: Path) -> None:
    text = path.read_text()
    too_long = []
    if (count := len(text.splitlines())) > MAX_MODULE:
        too_long.append(f"module: {count} lines")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of(node) > MAX_FUNCTION:
            too_long.append(f"function {node.name}: {lines_of(node)} lines")
        if isinstance(node, ast.ClassDef) and (size := lines_of(node)) > MAX_CLASS:
            too_long.append(f"class {node.name}: {size} lines")
    assert not too_long


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_absolutely_and_never_the_root(path: Path) -> None:
    wrong = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                wrong.append(f"line {node.lineno}: relative import")
            allowed = {"__version__", *(p.stem for p in PACKAGE.iterdir())}
            if node.module == "lakebutler" and not {alias.name for alias in node.names} <= allowed:
                wrong.append(f"line {node.lineno}: imports public names from the root")
    assert not wrong


@pytest.mark.parametrize("path", MODULES + SCRIPTS, ids=name_of)
def test_a_file_opens_with_its_licence_and_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# SPDX-License-Identifier: BSD-3-Clause\n")
    assert ast.get_docstring(ast.parse(text))


def test_file_names_are_plain_snake_case() -> None:
    odd = [name_of(p) for p in MODULES if p.stem != p.stem.lower() or "-" in p.stem]
    private = [name_of(p) for p in MODULES if p.stem.startswith("_") and not p.stem.startswith("__")]
    assert not odd + private


def imported_by(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after running some code."""
    script = f"{code}\nimport sys\nprint('LOADED', *{{m.partition('.')[0] for m in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(result.stdout.rpartition("LOADED")[2].split())


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert not imported_by("import lakebutler") & (HEAVY | {"click"})


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["query-datasets", "--help"]], ids=" ".join)
def test_the_help_of_the_command_line_imports_nothing_heavy(arguments: list[str]) -> None:
    call = f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert not end.code"
    code = f"from lakebutler.cli.main import main\n{call}"
    assert not imported_by(code) & HEAVY


def test_a_missing_extra_says_what_to_install() -> None:
    script = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name="pandas")
sys.meta_path.insert(0, Absent())
import pyarrow
from lakebutler import StorageClassFactory
try:
    StorageClassFactory().getStorageClass("DataFrame").coerce_type(pyarrow.table({"a": [1]}))
except TypeError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install 'lakebutler[pandas]'" in result.stdout


@pytest.mark.parametrize("name", sorted(lakebutler.__all__))
def test_a_public_name_resolves(name: str) -> None:
    assert getattr(lakebutler, name) is not None
    assert name in dir(lakebutler)


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Buttler"):
        lakebutler.Buttler  # noqa: B018


def test_the_names_for_type_checkers_are_the_names_at_run_time() -> None:
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    declared = {
        alias.asname: f"{node.module}:{alias.name}" if alias.asname != alias.name else node.module
        for node in imports
        for alias in node.names
        if alias.name != "*"
    }
    assert declared == lakebutler._HOMES
    assert [node.module for node in imports if node.names[0].name == "*"] == ["lakebutler.errors"]
    assert {*declared, "__version__", *errors.__all__} == set(lakebutler.__all__)


def test_every_error_is_also_a_builtin_and_is_drawn_in_the_tree() -> None:
    drawn = errors.__doc__ or ""
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.ButlerError)]
    assert len(classes) > 30
    assert not [c.__name__ for c in classes if c.__name__ not in drawn or c.__name__ not in errors.__all__]
