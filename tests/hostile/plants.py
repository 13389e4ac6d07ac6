# SPDX-License-Identifier: BSD-3-Clause
"""Faults to be planted: the harness has to fail on each of them."""

from __future__ import annotations

import importlib
from typing import Any


def formatter_by_import() -> None:
    """A formatter is what its name says, wherever that comes from."""
    from lakebutler.datastore import datastore, read
    from lakebutler.formatters import factory

    def get_formatter(key: str, *, trust: bool = False) -> Any:
        module, _, name = key.rpartition(".")
        if module:
            return getattr(importlib.import_module(module), name)
        return factory.get_formatter(key, trust=trust)

    for module in (datastore, read):
        if hasattr(module, "get_formatter"):
            module.get_formatter = get_formatter  # type: ignore[attr-defined]


def links_are_followed() -> None:
    """Nobody looks where a directory or a file really is."""
    from lakebutler.datastore.local import LocalFiles

    def follow(self: Any, place: str) -> str:
        import os

        return os.path.realpath(place)

    LocalFiles._require_inside = lambda self, directory: None  # type: ignore[method-assign]
    LocalFiles._follow = follow  # type: ignore[method-assign]


def paths_are_believed() -> None:
    """A path in a record is taken as it is."""
    from lakebutler.datastore import datastore, paths

    links_are_followed()
    paths.stored_path_problem = lambda path: None  # type: ignore[assignment]
    datastore.check_stored_path = lambda path: path  # type: ignore[attr-defined]


def views_are_run() -> None:
    """The script of the repository is run when it is opened."""
    from lakebutler.lake.lake import Lake

    before = Lake.open.__func__  # type: ignore[attr-defined]

    def opened(cls: Any, storage: Any, **options: Any) -> Any:
        import contextlib

        import duckdb

        with contextlib.suppress(Exception):
            duckdb.connect().execute(storage.read("registry/views.sql").decode())
        return before(cls, storage, **options)

    Lake.open = classmethod(opened)  # type: ignore[method-assign,assignment]


def everything_is_trusted() -> None:
    """Files are unpickled, whoever wrote them."""
    from lakebutler.datastore.datastore import Datastore

    before = Datastore.__init__

    def made(self: Any, *arguments: Any, **options: Any) -> None:
        before(self, *arguments, **{**options, "trust": True})

    Datastore.__init__ = made  # type: ignore[method-assign]
