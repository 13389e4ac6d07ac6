# SPDX-License-Identifier: BSD-3-Clause
"""Old repositories for tests: real ones, and sparse trees from real lists of paths."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.gen2.pickles import PROGRAM, skymap_pickle

HOLE = 1 << 20
"""Files are as long as the real ones, up to so much; they take no room on the disk."""


def read_manifest(path: Path) -> list[tuple[str, int]]:
    """Paths and sizes of a list."""
    lines = path.read_text().splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [(row[0], int(row[1])) for row in rows]


def grow(root: Path, files: Sequence[tuple[str, int]]) -> Path:
    """Make a tree of files that have a size, but no content."""
    for name, size in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as stream:
            stream.truncate(min(size, HOLE))
    return root


def tree_hash(root: Path) -> str:
    """Digest of everything below a directory: names, links, sizes, times and bytes."""
    digest = hashlib.sha256()
    for directory, below, names in sorted(os.walk(root)):
        for name in sorted([*below, *names]):
            path = os.path.join(directory, name)
            found = os.lstat(path)
            digest.update(f"{path} {found.st_mode} {found.st_size} {found.st_mtime_ns}\n".encode())
            if os.path.islink(path):
                digest.update(os.fsencode(os.readlink(path)))
            elif os.path.isfile(path):
                digest.update(Path(path).read_bytes())
    return digest.hexdigest()


def write_registry(path: Path, **tables: Sequence[dict[str, Any]]) -> Path:
    """Write a SQLite file of tables; columns are those of the first row."""
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for name, rows in tables.items():
            columns = list(rows[0])
            connection.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, {', '.join(columns)})")
            marks = ", ".join("?" * len(columns))
            connection.executemany(
                f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks})",
                [tuple(r.values()) for r in rows],
            )
        connection.commit()
    return path


@pytest.fixture(scope="session")
def registry_of() -> Callable[..., Path]:
    """Write a registry."""
    return write_registry


@pytest.fixture(scope="session")
def hash_of() -> Callable[[Path], str]:
    """Digest of a tree."""
    return tree_hash


@pytest.fixture(scope="session")
def manifest(shared_data: Path) -> Callable[[str, str], list[tuple[str, int]]]:
    """Paths and sizes of a real list, below one of its directories."""

    def read(name: str, below: str = "") -> list[tuple[str, int]]:
        rows = read_manifest(shared_data / "manifests" / f"{name}.tsv")
        return [(path.removeprefix(below), size) for path, size in rows if path.startswith(below)]

    return read


@pytest.fixture
def sparse(tmp_path: Path) -> Callable[[str, Sequence[tuple[str, int]]], Path]:
    """Make a tree of files without content."""

    def make(name: str, files: Sequence[tuple[str, int]]) -> Path:
        return grow(tmp_path / name, files)

    return make


@pytest.fixture
def ci_hsc(
    manifest: Callable[..., list[tuple[str, int]]], tmp_path: Path, fragment: Callable[[str], Path]
) -> Callable[..., Path]:
    """Make the repository of ci_hsc: its tree of calibrations with one of its real registries."""

    def make(more: Sequence[tuple[str, int]] = (), registry: str = "calibRegistry_3") -> Path:
        files = [(f"CALIB/{path}", size) for path, size in manifest("ci_hsc_gen2_inputs", "CALIB/")]
        root = grow(tmp_path / "ci_hsc", [*files, *more])
        (root / "_mapper").write_text("lsst.obs.hsc.HscMapper\n")
        shutil.copyfile(fragment(f"ci_hsc_calib/{registry}.sqlite3"), root / "CALIB/calibRegistry.sqlite3")
        return root

    return make


@pytest.fixture
def obs_test(shared_data: Path, tmp_path: Path) -> Path:
    """A copy of the one whole repository that there is, with its real bytes."""
    return Path(shutil.copytree(shared_data / "gen2_obs_test/data/input", tmp_path / "input"))


@pytest.fixture
def with_coadd(obs_test: Path) -> Path:
    """The same with a coadd and its skymap."""
    for name, data in (
        ("deepCoadd/skyMap.pickle", skymap_pickle("DiscreteSkyMap", PROGRAM)),
        ("deepCoadd/g/1/3,2.fits", b"not really an image"),
        ("config/test.py", b"config.a = 1"),
    ):
        (obs_test / name).parent.mkdir(parents=True, exist_ok=True)
        (obs_test / name).write_bytes(data)
    return obs_test


@pytest.fixture
def fragment(shared_data: Path) -> Callable[[str], Path]:
    """A real registry."""

    def find(name: str) -> Path:
        return shared_data / "gen2_fragments" / name

    return find
