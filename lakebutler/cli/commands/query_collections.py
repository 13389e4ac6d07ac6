# SPDX-License-Identifier: BSD-3-Clause
"""``query-collections`` and ``query-dataset-types``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from lakebutler.cli import complete
from lakebutler.cli.names import match_collections, match_dataset_types
from lakebutler.cli.options import Ask, collections_option, listing_options
from lakebutler.cli.output import Listing, finish
from lakebutler.cli.refine import limit_rows, refine, split_names
from lakebutler.cli.session import Session, pass_session
from lakebutler.cli.verb import Verb

if TYPE_CHECKING:
    from lakebutler.collections.collection import CollectionInfo

__all__ = ["query_collections", "query_dataset_types"]

_MANY = 10_000
_DEEPEST = 50
_ROWS = ""

_CHAINS = ("table", "inverse-table", "tree", "inverse-tree", "flatten", "no-children")
_TYPES = ("run", "tagged", "chained", "calibration")


@click.command("query-collections", cls=Verb)
@click.argument("glob", nargs=-1, shell_complete=complete.collections)
@click.option(
    "--collection-type",
    multiple=True,
    type=click.Choice(_TYPES, case_sensitive=False),
    help="Only this type.",
)
@click.option(
    "--chains",
    type=click.Choice(_CHAINS, case_sensitive=False),
    default="tree",
    show_default=True,
    help="How chains show: with a column of children or parents, as a tree of either, replaced by what "
    "they hold, or by name only.",
)
@click.option("-t", "--show-dataset-types", is_flag=True, help="Also the dataset types in each collection.")
@click.option(
    "--exclude-dataset-types",
    default="*_config,*_log,*_metadata,packages",
    show_default=True,
    help="Dataset types to leave out; only with --show-dataset-types.",
)
@listing_options("SQL condition over the columns, as in \"type = 'RUN'\".")
@pass_session
def query_collections(
    session: Session,
    glob: tuple[str, ...],
    collection_type: tuple[str, ...],
    chains: str,
    show_dataset_types: bool,
    exclude_dataset_types: str,
    ask: Ask,
) -> None:
    """List the collections whose names match GLOB (all by default)."""
    butler = session.butler()
    infos = {
        info.name: info
        for info in butler.collections.query_info(
            "*", include_parents=True, include_summary=show_dataset_types
        )
    }
    names = match_collections(butler, split_names(glob))
    wanted = {text.upper() for text in collection_type}
    names = [name for name in names if not wanted or infos[name].type.name in wanted]
    excluded = split_names([exclude_dataset_types]) if show_dataset_types else None
    rows = [
        _collection_row(infos[name], depth, chains, excluded, indent=ask.output not in {"json", "csv"})
        for name, depth in _arrange(names, infos, chains)
        if name in infos
    ]
    columns = _collection_columns(chains, show_dataset_types)
    listing = refine(Listing(columns, rows), where=ask.where, order_by=ask.order_by)
    nothing = "no collection found" if infos else "there are no collections yet; ingests and puts make them"
    finish(limit_rows(listing, ask.limit), ask.output, nothing=nothing, exit_code=ask.exit_code)


def _collection_columns(chains: str, show_dataset_types: bool) -> tuple[str, ...]:
    third = {"table": ("children",), "inverse-table": ("parents",)}.get(chains, ())
    return ("name", "type", *third, *(("dataset_types",) if show_dataset_types else ()))


def _collection_row(
    info: CollectionInfo, depth: int, chains: str, excluded: Sequence[str] | None, *, indent: bool
) -> tuple[Any, ...]:
    row: list[Any] = ["  " * (min(depth, _DEEPEST) if indent else 0) + info.name, info.type.name]
    if chains == "table":
        row.append(list(info.children))
    elif chains == "inverse-table":
        row.append(sorted(info.parents or ()))
    if excluded is not None:
        names = sorted(info.dataset_types or ())
        row.append([name for name in names if not any(fnmatchcase(name, pattern) for pattern in excluded)])
    return tuple(row)


def _arrange(
    names: Sequence[str], infos: Mapping[str, CollectionInfo], chains: str
) -> Iterator[tuple[str, int]]:
    """Names in the order of the listing, each with its depth."""
    if chains in {"table", "inverse-table", "no-children"}:
        yield from ((name, 0) for name in names)
    elif chains == "flatten":
        flat: dict[str, None] = {}
        once: Counter[str] = Counter(dict.fromkeys(infos, 0))
        for name in names:
            flat.update((found, None) for found, _ in _descend(name, infos, once, down=True))
        yield from ((name, 0) for name in flat if name in infos and not infos[name].children)
    else:
        opened: Counter[str] = Counter()
        for name in names:
            yield from _descend(name, infos, opened, down=chains == "tree")


def _descend(
    name: str, infos: Mapping[str, CollectionInfo], opened: Counter[str], *, down: bool
) -> Iterator[tuple[str, int]]:
    """A collection and what is below (or above) it, each as often as it is met.

    In a listing of more than `_MANY` rows, and below `_DEEPEST` levels, what was opened
    already is not opened again.
    """
    waiting = [(name, 0)]
    while waiting:
        one, level = waiting.pop()
        yield one, level
        opened[_ROWS] += 1
        if one not in infos or (opened[one] and (opened[_ROWS] > _MANY or level > _DEEPEST)):
            continue
        opened[one] += 1
        following = infos[one].children if down else sorted(infos[one].parents or ())
        waiting += [(other, level + 1) for other in reversed(following)]


@click.command("query-dataset-types", cls=Verb)
@click.argument("glob", nargs=-1, shell_complete=complete.dataset_types)
@click.option("-v", "--verbose", is_flag=True, help="Also dimensions and storage class.")
@collections_option("Only those that these collections hold.")
@listing_options("SQL condition over the columns, as in \"storage_class = 'CCDData'\" (with -v).")
@pass_session
def query_dataset_types(
    session: Session,
    glob: tuple[str, ...],
    verbose: bool,
    collections: tuple[str, ...],
    ask: Ask,
) -> None:
    """List the dataset types whose names match GLOB (all by default)."""
    butler = session.butler()
    found = match_dataset_types(butler, split_names(glob))
    if collections:
        held: set[str] = set()
        for info in butler.collections.query_info(
            match_collections(butler, split_names(collections)), flatten_chains=True, include_summary=True
        ):
            held.update(info.dataset_types or ())
        found = [dataset_type for dataset_type in found if dataset_type.name in held]
    columns = ("name", "dimensions", "storage_class", "is_calibration")
    rows = [(t.name, list(t.dimensions.required), t.storageClass_name, t.isCalibration()) for t in found]
    listing = limit_rows(refine(Listing(columns, rows), where=ask.where, order_by=ask.order_by), ask.limit)
    if not verbose and ask.output not in {"json", "csv"}:
        listing = Listing(("name",), [row[:1] for row in listing.rows])
    finish(listing, ask.output, nothing="no dataset type found", exit_code=ask.exit_code)
