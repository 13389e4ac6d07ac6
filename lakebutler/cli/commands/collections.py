# SPDX-License-Identifier: BSD-3-Clause
"""``collection-chain``, ``associate`` and ``certify-calibrations``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from lakebutler.cli import complete
from lakebutler.cli.failure import NOTHING_FOUND
from lakebutler.cli.names import match_collections, one_dataset_type
from lakebutler.cli.options import Selection, message_option, parse_time, selection_options
from lakebutler.cli.refine import split_names
from lakebutler.cli.select import select_datasets
from lakebutler.cli.session import Session, counted, pass_session
from lakebutler.cli.verb import Verb
from lakebutler.errors import CollectionTypeError, InvalidQueryError

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler

__all__ = ["associate", "certify_calibrations", "collection_chain"]

_MODES = ("redefine", "extend", "remove", "prepend", "pop")


@click.command("collection-chain", cls=Verb)
@click.argument("parent", shell_complete=complete.collections)
@click.argument("children", nargs=-1, shell_complete=complete.collections)
@click.option(
    "--mode", type=click.Choice(_MODES), default="redefine", show_default=True, help="What CHILDREN are for."
)
@click.option(
    "--flatten/--no-flatten", default=False, help="Replace children that are chains by what they hold."
)
@click.option("--doc", default="", help="Description of the chain, if it is new.")
@message_option
@pass_session
@click.pass_context
def collection_chain(
    ctx: click.Context,
    session: Session,
    *,
    parent: str,
    children: tuple[str, ...],
    mode: str,
    flatten: bool,
    doc: str,
) -> None:
    """Make or change the chain PARENT: redefine, extend, prepend or remove CHILDREN, or pop by position.

    CHILDREN are split on commas. For --mode=pop they are positions (0 by default); write '--' before
    negative ones.
    """
    names = split_names(children)
    if not names and mode != "pop":
        raise click.UsageError(f"missing argument 'CHILDREN' for --mode={mode}", ctx)
    butler = session.butler(writeable=True)
    known = {info.name: info for info in butler.collections.query_info("*")}
    if parent in known and known[parent].type.name != "CHAINED":
        raise CollectionTypeError(f"{parent!r} is a {known[parent].type.name} collection, not a chain")
    if mode in {"remove", "pop"}:
        match_collections(butler, [parent])
    if mode == "pop":
        present = list(known[parent].children)
        keep = _without(present, _positions(names, len(present)))
        butler.collections.redefine_chain(parent, keep)
    else:
        _edit(butler, parent, names, mode, flatten=flatten, doc=doc, exists=parent in known)
    chain = butler.collections.get_info(parent).children
    click.echo(f"{parent}: [{', '.join(chain)}]")


def _edit(
    butler: Butler, parent: str, names: Sequence[str], mode: str, *, flatten: bool, doc: str, exists: bool
) -> None:
    from lakebutler.collections.collection import CollectionType

    match_collections(butler, names)  # names the missing one before anything is made
    children = list(butler.collections.query(names, flatten_chains=True)) if flatten else list(names)
    edits: dict[str, Any] = {
        "redefine": butler.collections.redefine_chain,
        "extend": butler.collections.extend_chain,
        "prepend": butler.collections.prepend_chain,
        "remove": butler.collections.remove_from_chain,
    }
    with butler.transaction():
        if not exists:
            butler.collections.register(parent, CollectionType.CHAINED, doc=doc or None)
        edits[mode](parent, children)


def _positions(texts: Sequence[str], count: int) -> set[int]:
    result = set()
    for text in texts or ("0",):
        try:
            position = int(text)
        except ValueError:
            raise InvalidQueryError(
                f"--mode=pop takes positions, not {text!r}", hint="0 is the first child"
            ) from None
        if not -count <= position < count:
            raise InvalidQueryError(
                f"no position {position} in a chain of {count}", hint="0 is the first child"
            )
        result.add(position % count)
    return result


def _without(children: Sequence[str], positions: set[int]) -> list[str]:
    return [child for index, child in enumerate(children) if index not in positions]


@click.command("associate", cls=Verb)
@click.argument("collection", shell_complete=complete.collections)
@selection_options()
@message_option
@pass_session
@click.pass_context
def associate(
    ctx: click.Context, session: Session, *, collection: str, selection: Selection, exit_code: bool
) -> None:
    """Add the datasets found to the tagged COLLECTION, which is made if it does not exist."""
    from lakebutler.collections.collection import CollectionType

    butler = session.butler(writeable=True)
    refs = [ref for _, several in select_datasets(butler, selection) for ref in several]
    if refs:
        with butler.transaction():
            butler.collections.register(collection, CollectionType.TAGGED)
            butler.registry.associate(collection, refs)
    click.echo(f"{collection}: {counted(len(refs), 'dataset')} associated")
    if exit_code and not refs:
        ctx.exit(NOTHING_FOUND)


@click.command("certify-calibrations", cls=Verb)
@click.argument("input_collection", shell_complete=complete.collections)
@click.argument("output_collection", shell_complete=complete.collections)
@click.argument("dataset_type_name", shell_complete=complete.dataset_types)
@click.option("--begin-date", metavar="TIME", help="Begin of validity (TAI, ISO 8601); unbounded by default.")
@click.option("--end-date", metavar="TIME", help="End of validity (TAI, ISO 8601); unbounded by default.")
@click.option(
    "--search-all-inputs",
    is_flag=True,
    help="Search all children of a chained INPUT_COLLECTION, not only the first.",
)
@message_option
@pass_session
def certify_calibrations(
    session: Session,
    *,
    input_collection: str,
    output_collection: str,
    dataset_type_name: str,
    begin_date: str | None,
    end_date: str | None,
    search_all_inputs: bool,
) -> None:
    """Certify the DATASET_TYPE_NAME of INPUT_COLLECTION in the calibration collection OUTPUT_COLLECTION."""
    from lakebutler.collections.collection import CollectionType
    from lakebutler.timespan import Timespan

    timespan = Timespan(parse_time(begin_date, "--begin-date"), parse_time(end_date, "--end-date"))
    if timespan.isEmpty():
        raise InvalidQueryError(
            "the validity range is empty", hint="--begin-date must come before --end-date"
        )
    butler = session.butler(writeable=True)
    match_collections(butler, [input_collection])
    dataset_type = one_dataset_type(butler, dataset_type_name)
    info = butler.collections.get_info(input_collection)
    search = input_collection
    if info.type is CollectionType.CHAINED and not search_all_inputs and info.children:
        search = info.children[0]
    refs = butler.query_datasets(dataset_type, search, explain=False, limit=None)
    if not refs:
        raise InvalidQueryError(f"no {dataset_type_name!r} in {search!r}")
    with butler.transaction():
        butler.collections.register(output_collection, CollectionType.CALIBRATION)
        butler.registry.certify(output_collection, refs, timespan)
    click.echo(f"{output_collection}: {len(refs)} {dataset_type_name} certified for {timespan}")
