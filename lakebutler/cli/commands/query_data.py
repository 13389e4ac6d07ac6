# SPDX-License-Identifier: BSD-3-Clause
"""``query-datasets``, ``query-data-ids`` and ``query-dimension-records``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from lakebutler.cli import complete
from lakebutler.cli.names import match_collections, match_dataset_types
from lakebutler.cli.options import Ask, Selection, collections_option, find_first_option, listing_options
from lakebutler.cli.output import Listing, finish
from lakebutler.cli.refine import limit_rows, split_names
from lakebutler.cli.rows import data_id_listing, dataset_listing, record_listing
from lakebutler.cli.select import explain_datasets, select_datasets, with_only_governors
from lakebutler.cli.session import Session, pass_session, say
from lakebutler.cli.verb import Verb
from lakebutler.errors import DimensionNameError, known_names

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler
    from lakebutler.datasets.dataset_ref import DatasetRef

__all__ = ["query_data_ids", "query_datasets", "query_dimension_records"]


@click.command("query-datasets", cls=Verb)
@click.argument("glob", nargs=-1, shell_complete=complete.dataset_types)
@collections_option("Collections to search: names or globs; all by default.")
@find_first_option
@click.option("--show-uri", is_flag=True, help="Also where each dataset lies.")
@listing_options("Condition on dimensions and their fields, as in \"visit > 10 AND band = 'r'\".", query=True)
@pass_session
def query_datasets(
    session: Session,
    *,
    glob: tuple[str, ...],
    collections: tuple[str, ...],
    find_first: bool,
    show_uri: bool,
    ask: Ask,
) -> None:
    """List the datasets whose type matches GLOB (all by default)."""
    butler = session.butler()
    selection = Selection(
        dataset_types=split_names(glob),
        collections=split_names(collections),
        where=ask.where,
        find_first=find_first,
        order_by=ask.order_by,
        limit=ask.limit,
        offset=ask.offset,
    )
    if ask.explain:
        click.echo("\n\n".join(explain_datasets(butler, selection)))
        return
    listings = []
    for dataset_type, refs in select_datasets(butler, selection):
        spread, uris = _with_uris(butler, refs) if show_uri else (refs, None)
        listings.append(dataset_listing(dataset_type, spread, uris))
    empty = [Listing(("type", "run", "id"), [])]
    finish(listings or empty, ask.output, nothing="no dataset found", exit_code=ask.exit_code)


def _with_uris(butler: Butler, refs: Sequence[DatasetRef]) -> tuple[list[DatasetRef], list[str]]:
    """Datasets with the addresses of their files; one in parts comes once for each."""
    found = butler.get_many_uris(refs, allow_missing=True)
    pairs = []
    for ref in refs:
        primary, components = found.get(ref, (None, {}))
        places = list(components.values()) or [primary]
        pairs += [(ref, str(place) if place is not None else "") for place in places]
    return [ref for ref, _ in pairs], [uri for _, uri in pairs]


@contextmanager
def _query(
    butler: Butler, datasets: str | None, collections: Sequence[str], where: str | None
) -> Iterator[tuple[Any, list[Any]]]:
    """A query with the searches and the condition of the options; and the dataset types of the former."""
    dataset_types = match_dataset_types(butler, split_names([datasets])) if datasets else []
    with with_only_governors(butler, where).query() as query:
        for dataset_type in dataset_types:
            query = query.join_dataset_search(
                dataset_type, match_collections(butler, split_names(collections))
            )
        yield (query.where(where) if where else query), dataset_types


def _refine(results: Any, ask: Ask) -> Any:
    results = results.order_by(*(ask.order_by or tuple(results.dimensions.required)))
    return results.limit(abs(ask.limit) + ask.offset) if ask.limit else results


def _read(results: Any) -> list[Any]:
    """All rows; why there are none goes to standard error."""
    found = list(results)
    if not found:
        for reason in results.explain_no_results():
            say(reason)
    return found


def _check_datasets(datasets: str | None, collections: Sequence[str]) -> None:
    if bool(datasets) != bool(collections):
        raise click.UsageError("--datasets and --collections go together", click.get_current_context())


@click.command("query-data-ids", cls=Verb)
@click.argument("dimensions", nargs=-1, shell_complete=complete.dimensions)
@collections_option("Collections to search for --datasets.")
@click.option(
    "--datasets", metavar="NAMES", help="Only data IDs for which these dataset types have a dataset."
)
@listing_options(query=True)
@pass_session
def query_data_ids(
    session: Session,
    *,
    dimensions: tuple[str, ...],
    collections: tuple[str, ...],
    datasets: str | None,
    ask: Ask,
) -> None:
    """List the data IDs of DIMENSIONS (and of what they depend on)."""
    _check_datasets(datasets, collections)
    names = split_names(dimensions)
    if not names and not datasets:
        raise click.UsageError("missing argument 'DIMENSIONS' (or --datasets)", click.get_current_context())
    butler = session.butler()
    if names:
        butler.dimensions.conform(names)  # names the unknown one before anything is searched
    with _query(butler, datasets, collections, ask.where) as (query, dataset_types):
        group = butler.dimensions.conform(names or {n for t in dataset_types for n in t.dimensions.names})
        results = _refine(query.data_ids(group), ask)
        if ask.explain:
            click.echo(results.explain())
            return
        found = _read(results)
    listing = limit_rows(data_id_listing(group, found), 0, ask.offset)
    finish(listing, ask.output, nothing="no data ID found", exit_code=ask.exit_code)


@click.command("query-dimension-records", cls=Verb)
@click.argument("element", shell_complete=complete.dimensions)
@collections_option("Collections to search for --datasets.")
@click.option(
    "--datasets", metavar="NAMES", help="Only records for which these dataset types have a dataset."
)
@click.option("--no-check", is_flag=True, expose_value=False, help="No effect: nonsense is always refused.")
@listing_options(query=True)
@pass_session
def query_dimension_records(
    session: Session, *, element: str, collections: tuple[str, ...], datasets: str | None, ask: Ask
) -> None:
    """List the records of the dimension ELEMENT, such as visit or detector."""
    _check_datasets(datasets, collections)
    butler = session.butler()
    elements = {item.name: item for item in butler.dimensions.elements}
    if element not in elements:
        raise DimensionNameError(f"no dimension element {element!r}", hint=known_names(element, elements))
    with _query(butler, datasets, collections, ask.where) as (query, _):
        results = _refine(query.dimension_records(element), ask)
        if ask.explain:
            click.echo(results.explain())
            return
        found = _read(results)
    listing = limit_rows(record_listing(elements[element], found), 0, ask.offset)
    finish(listing, ask.output, nothing=f"no {element} found", exit_code=ask.exit_code)
