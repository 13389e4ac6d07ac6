# SPDX-License-Identifier: BSD-3-Clause
"""What the TAB key offers: names that the repository at hand has.

Switched on in bash with ``eval "$(_LAKEBUTLER_COMPLETE=bash_source lakebutler)"``
(``zsh_source``, ``fish_source`` for the others).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from lakebutler.cli.session import Session, first_is_repository

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler

__all__ = [
    "Completer",
    "cameras",
    "collections",
    "dataset_types",
    "dimensions",
    "repository",
    "skymaps",
    "storage_classes",
]

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _from_repository(names: Callable[[Butler], Iterable[str]]) -> Completer:
    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        session = ctx.ensure_object(Session)
        given = session.repo or ctx.find_root().params.get("repo")
        # With an option's value still missing, click has not come to the arguments yet.
        first = ctx.args[0] if given is None and first_is_repository(ctx.args, most=None) else None
        try:
            with Session(repo=given, positional=session.positional or first).butler() as butler:
                return _matching(names(butler), incomplete)
        except Exception:  # a key press never fails
            return []

    return complete


def _matching(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """Names that begin so; the last one of a comma-separated list."""
    before, comma, last = incomplete.rpartition(",")
    return [CompletionItem(before + comma + name) for name in sorted(names) if name.startswith(last)]


def _fixed(names: Callable[[], Iterable[str]]) -> Completer:
    return lambda ctx, param, incomplete: _matching(names(), incomplete)


def _camera_names() -> Iterable[str]:
    from lakebutler.instruments.cameras.find import camera_names

    return camera_names()


def _skymap_names() -> Iterable[str]:
    from lakebutler.instruments.skymaps.definition import skymap_names

    return skymap_names()


def _storage_class_names() -> Iterable[str]:
    from lakebutler.datasets.storage_class import StorageClassFactory

    return StorageClassFactory().keys()


dataset_types = _from_repository(lambda butler: [t.name for t in butler.registry.queryDatasetTypes()])
"""Dataset types of the repository."""

collections = _from_repository(lambda butler: butler.collections.query("*"))
"""Collections of the repository."""

dimensions = _from_repository(lambda butler: [element.name for element in butler.dimensions.elements])
"""Dimension elements of the repository."""

cameras = _fixed(_camera_names)
"""Cameras that are known by name."""

skymaps = _fixed(_skymap_names)
"""Skymaps that are known by name."""

storage_classes = _fixed(_storage_class_names)
"""Storage classes."""


def repository(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Directories; and what the verb's own first argument takes, as REPO may be left out.

    Parameters
    ----------
    ctx : `click.Context`
        The verb.
    param : `click.Parameter`
        Its argument REPO.
    incomplete : `str`
        What is typed so far.

    Returns
    -------
    items : `list` [`click.shell_completion.CompletionItem`]
        What to offer.
    """
    own = [p for p in ctx.command.params if isinstance(p, click.Argument) and p is not param]
    names = own[0].shell_complete(ctx, incomplete) if own else []
    return names or [CompletionItem(incomplete, type="dir")]
