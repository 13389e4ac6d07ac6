# SPDX-License-Identifier: BSD-3-Clause
"""Options that several verbs share, with the incumbent's names."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from lakebutler.cli import complete
from lakebutler.cli.output import format_options
from lakebutler.cli.refine import split_names
from lakebutler.cli.session import Session
from lakebutler.errors import InvalidQueryError

__all__ = [
    "Ask",
    "Selection",
    "TRANSFER_MODES",
    "as_of_option",
    "collections_option",
    "find_first_option",
    "listing_options",
    "message_option",
    "parse_data_id",
    "parse_time",
    "selection_options",
    "transfer_option",
    "where_option",
]

type_of_verb = Callable[..., Any]

TRANSFER_MODES = ("auto", "link", "symlink", "hardlink", "copy", "move", "relsymlink", "direct")


@dataclass(frozen=True)
class Ask:
    """What the options of a listing say.

    Parameters
    ----------
    where : `str` or `None`
        Condition.
    order_by : `tuple` [`str`, ...]
        Names to order by.
    limit : `int`
        How many rows at most; 0 means all.
    exit_code : `bool`
        Whether finding nothing is exit code 1.
    output : `str`
        Format.
    offset : `int`, optional
        How many rows to skip first.
    explain : `bool`, optional
        Whether to show how the answer would be found instead.
    """

    where: str | None
    order_by: tuple[str, ...]
    limit: int
    exit_code: bool
    output: str
    offset: int = 0
    explain: bool = False


@dataclass(frozen=True)
class Selection:
    """Which datasets a verb works on.

    Parameters
    ----------
    dataset_types, collections : `tuple` [`str`, ...]
        Names and globs; none means all.
    where : `str` or `None`, optional
        Condition.
    find_first : `bool`, optional
        Whether only the first collection's dataset counts for each data ID.
    order_by : `tuple` [`str`, ...], optional
        Names to order by.
    limit, offset : `int`, optional
        How many datasets over all types, and how many to skip first; 0 means all
        and none.
    """

    dataset_types: tuple[str, ...]
    collections: tuple[str, ...]
    where: str | None = None
    find_first: bool = False
    order_by: tuple[str, ...] = ()
    limit: int = 0
    offset: int = 0


def where_option(help_text: str) -> Callable[[type_of_verb], type_of_verb]:
    """Make the option ``--where``.

    Parameters
    ----------
    help_text : `str`
        What the condition is about.

    Returns
    -------
    option : callable
        A decorator.
    """
    return click.option("--where", metavar="EXPRESSION", help=help_text)


def listing_options(
    where: str = "Condition on dimensions and their fields.", *, query: bool = False
) -> Callable[[type_of_verb], type_of_verb]:
    """Make the options that every listing has.

    Parameters
    ----------
    where : `str`, optional
        Help of ``--where``.
    query : `bool`, optional
        Whether a query answers, so that there are ``--offset`` and ``--explain``.

    Returns
    -------
    options : callable
        A decorator that adds ``--where --order-by --limit --exit-code`` and the
        formats; the verb gets them all as ``ask``, an `Ask`.
    """

    def decorate(function: type_of_verb) -> type_of_verb:
        @functools.wraps(function)
        def gathered(*args: Any, **kwargs: Any) -> Any:
            values = {name: kwargs.pop(name) for name in ("where", "limit", "exit_code", "output")}
            skip = kwargs.pop("offset", 0)
            if skip and not values["limit"]:
                raise click.UsageError("--offset needs --limit", click.get_current_context())
            explain = kwargs.pop("explain", False)
            ask = Ask(order_by=split_names(kwargs.pop("order_by")), offset=skip, explain=explain, **values)
            return function(*args, ask=ask, **kwargs)

        options: list[Callable[[type_of_verb], type_of_verb]] = [
            where_option(where),
            click.option(
                "--order-by", multiple=True, metavar="NAMES", help="Names to order by; '-name' reverses."
            ),
            click.option("--limit", type=int, default=0, help="How many rows at most; 0 means all."),
            click.option("--exit-code", is_flag=True, help="Exit with 1 if nothing was found."),
            as_of_option,
            format_options,
        ]
        if query:
            text = "How many rows to skip first; only with --limit."
            options.insert(3, click.option("--offset", type=click.IntRange(min=0), default=0, help=text))
            options.append(click.option("--explain", is_flag=True, help="Show the plan and the SQL instead."))
        result: type_of_verb = gathered
        for option in reversed(options):
            result = option(result)
        return result

    return decorate


def selection_options(*, order_by: bool = False) -> Callable[[type_of_verb], type_of_verb]:
    """Make the options by which a verb chooses the datasets it works on.

    Parameters
    ----------
    order_by : `bool`, optional
        Whether there is an ``--order-by``.

    Returns
    -------
    options : callable
        A decorator that adds ``-d --collections --where --find-first --limit
        --exit-code``; the verb gets them as ``selection``, a `Selection`, but for
        ``exit_code``.
    """

    def decorate(function: type_of_verb) -> type_of_verb:
        @functools.wraps(function)
        def gathered(*args: Any, **kwargs: Any) -> Any:
            selection = Selection(
                dataset_types=split_names(kwargs.pop("dataset_type")),
                collections=split_names(kwargs.pop("collections")),
                where=kwargs.pop("where"),
                find_first=kwargs.pop("find_first"),
                limit=kwargs.pop("limit"),
                order_by=split_names(kwargs.pop("order_by", ())),
            )
            return function(*args, selection=selection, **kwargs)

        names = "Dataset types: names or globs; all of them by default."
        options: list[Callable[[type_of_verb], type_of_verb]] = [
            click.option(
                "-d",
                "--dataset-type",
                multiple=True,
                metavar="NAMES",
                help=names,
                shell_complete=complete.dataset_types,
            ),
            collections_option("Collections to search: names or globs; all by default."),
            where_option("Condition on dimensions and their fields."),
            find_first_option,
            click.option("--limit", type=int, default=0, help="How many datasets at most; 0 means all."),
            click.option("--exit-code", is_flag=True, help="Exit with 1 if nothing was found."),
        ]
        if order_by:
            text = "Names to order by; '-name' reverses."
            options.append(click.option("--order-by", multiple=True, metavar="NAMES", help=text))
        result: type_of_verb = gathered
        for option in reversed(options):
            result = option(result)
        return result

    return decorate


def collections_option(help_text: str) -> Callable[[type_of_verb], type_of_verb]:
    """Make the option ``--collections``.

    Parameters
    ----------
    help_text : `str`
        What the collections are for.

    Returns
    -------
    option : callable
        A decorator.
    """
    return click.option(
        "--collections", multiple=True, metavar="NAMES", help=help_text, shell_complete=complete.collections
    )


def as_of_option(function: type_of_verb) -> type_of_verb:
    """Add the option ``--as-of``, which the session keeps.

    Parameters
    ----------
    function : callable
        The verb.

    Returns
    -------
    function : callable
        The same, with the option.
    """

    def keep(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.ensure_object(Session).as_of = int(value) if value.isdecimal() else value

    return click.option(
        "--as-of",
        metavar="VERSION",
        expose_value=False,
        callback=keep,
        help="See the repository as it was at a version (see log) or an ISO 8601 time.",
    )(function)


def message_option(function: type_of_verb) -> type_of_verb:
    """Add the option ``-m/--message``, which the session keeps.

    Parameters
    ----------
    function : callable
        The verb.

    Returns
    -------
    function : callable
        The same, with the option.
    """

    def keep(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.ensure_object(Session).message = value

    text = "A line to record with the commit; log shows it."
    return click.option("-m", "--message", metavar="TEXT", expose_value=False, callback=keep, help=text)(
        function
    )


def find_first_option(function: type_of_verb) -> type_of_verb:
    """Add the option ``--find-first/--no-find-first``.

    Parameters
    ----------
    function : callable
        The verb.

    Returns
    -------
    function : callable
        The same, with the option.
    """
    text = "For each data ID only the dataset of the first collection that has one."
    return click.option("--find-first/--no-find-first", default=False, help=text)(function)


def transfer_option(default: str) -> Callable[[type_of_verb], type_of_verb]:
    """Make the option ``-t/--transfer``.

    Parameters
    ----------
    default : `str`
        The mode without it.

    Returns
    -------
    option : callable
        A decorator.
    """
    kind = click.Choice(TRANSFER_MODES)
    return click.option(
        "-t", "--transfer", type=kind, default=default, show_default=True, help="How files travel."
    )


def parse_data_id(texts: tuple[str, ...]) -> dict[str, Any]:
    """Parse ``key=value`` pairs.

    Parameters
    ----------
    texts : `tuple` [`str`, ...]
        Comma-separated pairs, as typed.

    Returns
    -------
    data_id : `dict`
        Values are integers where they look like one.

    Raises
    ------
    click.BadParameter
        Raised if a piece is no pair.
    """
    result: dict[str, Any] = {}
    for piece in (piece for text in texts for piece in text.split(",")):
        key, equals, value = (part.strip() for part in piece.partition("="))
        if not equals or not key or not value:
            raise click.BadParameter(f"{piece!r} is not of the form key=value", param_hint="--data-id")
        if key in result and result[key] != _number_or_text(value):
            raise click.BadParameter(f"{key!r} is given twice", param_hint="--data-id")
        result[key] = _number_or_text(value)
    return result


def _number_or_text(value: str) -> int | str:
    return int(value) if value.removeprefix("-").isdecimal() else value


def parse_time(text: str | None, option: str) -> Any:
    """Parse a time in TAI.

    Parameters
    ----------
    text : `str` or `None`
        A date or a time in ISO 8601, as typed.
    option : `str`
        The option it was given to, for messages.

    Returns
    -------
    time : `astropy.time.Time` or `None`
        The time, if there is a text.

    Raises
    ------
    InvalidQueryError
        Raised if it is no time.
    """
    if text is None:
        return None
    from astropy.time import Time

    try:
        return Time(text, scale="tai", format="isot" if "T" in text else "iso")
    except ValueError:
        raise InvalidQueryError(
            f"{option} {text!r} is no ISO 8601 time", hint="as in 2020-01-01 or 2020-01-01T12:00:00"
        ) from None
