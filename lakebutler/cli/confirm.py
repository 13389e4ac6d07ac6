# SPDX-License-Identifier: BSD-3-Clause
"""Ask before something is destroyed."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from lakebutler.cli.session import say

__all__ = ["confirm_options", "go_ahead"]


def confirm_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options ``--dry-run`` and ``--confirm/--no-confirm`` (or ``-y``) to a destroying verb.

    Parameters
    ----------
    function : callable
        The verb; it gets ``dry_run`` and ``confirm``.

    Returns
    -------
    function : callable
        The same, with the options.
    """
    options = [
        click.option("-n", "--dry-run", is_flag=True, help="Only show what would be removed."),
        click.option(
            "--confirm/--no-confirm", default=True, help="Ask before anything is removed (the default)."
        ),
        # An option of its own: a second one for "confirm" would change the default of the
        # first in some versions of click.
        click.option("-y", "--yes", is_flag=True, help="The same as --no-confirm."),
    ]

    @wraps(function)
    def verb(*args: Any, confirm: bool, yes: bool, **kwargs: Any) -> Any:
        return function(*args, confirm=confirm and not yes, **kwargs)

    for option in reversed(options):
        verb = option(verb)
    return verb


def go_ahead(question: str, *, dry_run: bool, confirm: bool) -> bool:
    """Whether to do what was shown.

    Parameters
    ----------
    question : `str`
        What is to be done, as a question.
    dry_run : `bool`
        Whether it was only to be shown.
    confirm : `bool`
        Whether somebody is to be asked.

    Returns
    -------
    go : `bool`
        False, with a line that says so, if nothing is to be changed.

    Raises
    ------
    click.UsageError
        Raised if there is nobody to ask.
    """
    if dry_run:
        say("nothing was changed (--dry-run)")
        return False
    if not confirm:
        return True
    try:
        if click.confirm(question, err=True):
            return True
    except click.Abort:
        say("")
        raise click.UsageError(
            "nobody answered; nothing was changed (--no-confirm does it without asking)",
            click.get_current_context(),
        ) from None
    say("nothing was changed")
    return False
