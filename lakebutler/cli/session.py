# SPDX-License-Identifier: BSD-3-Clause
"""What one call of the command line knows: which repository, how talkative.

The repository is, in this order: ``-R/--repo``; the first positional argument
where that is one (as in the incumbent); ``LAKEBUTLER_REPO``; the nearest one at
or above the current directory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from lakebutler.config import find_repository, has_repository
from lakebutler.errors import NotARepositoryError
from lakebutler.progress import NullProgress, Progress

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler

__all__ = [
    "ENVIRONMENT",
    "Session",
    "counted",
    "listed",
    "first_is_repository",
    "looks_like_place",
    "pass_session",
    "say",
]

ENVIRONMENT = "LAKEBUTLER_REPO"
"""Environment variable that names the repository."""


def say(message: str) -> None:
    """Print a line for a person to standard error.

    Parameters
    ----------
    message : `str`
        The line; what a name in it holds cannot play tricks with the terminal.
    """
    plain = (
        c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode("ascii") for c in message
    )
    click.echo(message if message.isprintable() else "".join(plain), err=True)


def listed(names: Sequence[str], most: int = 3) -> str:
    """Write names in a title.

    Parameters
    ----------
    names : sequence of `str`
        The names.
    most : `int`, optional
        How many may stand there.

    Returns
    -------
    text : `str`
        All of a few, else the first ones and how many more there are.
    """
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"


def counted(number: int, noun: str) -> str:
    """Write a number with its noun.

    Parameters
    ----------
    number : `int`
        How many.
    noun : `str`
        Of what, in the singular.

    Returns
    -------
    text : `str`
        ``1 file``, ``2 files``.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def looks_like_place(text: str) -> bool:
    """Whether an argument can only be a path or a URL, never a name in a repository.

    Parameters
    ----------
    text : `str`
        The argument.

    Returns
    -------
    place : `bool`
        True for ``./x``, ``../x``, ``/x``, ``~/x``, ``.``, ``..`` and URLs.
    """
    return text in {".", ".."} or text.startswith(("./", "../", "/", "~")) or "://" in text


def first_is_repository(
    positionals: Sequence[str],
    *,
    most: int | None,
    paths: bool = False,
    exists: Callable[[str], bool] = has_repository,
) -> bool:
    """Decide whether the first positional argument of a verb is its REPO.

    Parameters
    ----------
    positionals : sequence of `str`
        The positional arguments as typed.
    most : `int` or `None`
        How many the verb takes besides REPO; `None` for any number.
    paths : `bool`, optional
        Whether the verb's own first argument is a path itself.
    exists : callable, optional
        Whether a place holds a repository.

    Returns
    -------
    is_repository : `bool`
        True if the first one is the repository.
    """
    if not positionals:
        return False
    if most is not None and len(positionals) > most:
        return True
    first = positionals[0]
    if looks_like_place(first) and not paths:
        return True
    return bool(first) and exists(first)


@dataclass
class Session:
    """State of one call.

    Parameters
    ----------
    repo : `str`, optional
        Value of ``-R``.
    verbose : `bool`, optional
        Whether to show tracebacks and details.
    progress : `bool` or `None`, optional
        Whether to show progress; by default if standard error is a terminal.
    positional : `str`, optional
        REPO, where it was given by position.
    as_of : `int` or `str`, optional
        The version, tag or time at which the repository is read.
    message : `str`, optional
        A line to record with what the verb commits.
    """

    repo: str | None = None
    verbose: bool = False
    progress: bool | None = None
    positional: str | None = None
    as_of: int | str | None = None
    message: str = ""

    def repository(self) -> str:
        """Find the repository that this call is about.

        Returns
        -------
        place : `str`
            Path or URL; not checked unless it was found by walking upward.

        Raises
        ------
        NotARepositoryError
            Raised if none was given and none is at or above the current directory.
        """
        for source, given in (
            ("-R", self.repo),
            ("REPO", self.positional),
            (ENVIRONMENT, os.environ.get(ENVIRONMENT)),
        ):
            if given is not None and (given or source != ENVIRONMENT):
                if not given.strip():
                    raise NotARepositoryError(f"{source} is empty", hint="give a directory or a URL")
                _check_scheme(given)
                return given
        here = os.getcwd()
        found = find_repository(here)
        if found is None:
            raise NotARepositoryError(
                f"no repository was given, and none is at {here} or above",
                hint=f"say which with -R REPO or {ENVIRONMENT}, or make one: lakebutler create REPO",
            )
        levels = len(os.path.relpath(here, found).split(os.sep))
        if found != here:
            say(f"using the repository {found} ({levels} level{'s' if levels > 1 else ''} up)")
        return found

    def butler(self, *, writeable: bool = False, **options: Any) -> Butler:
        """Open the repository.

        Parameters
        ----------
        writeable : `bool`, optional
            Whether the verb writes.
        **options
            More arguments of `Butler.from_config`.

        Returns
        -------
        butler : `Butler`
            The open repository.
        """
        from lakebutler.butler.butler import Butler

        butler = Butler.from_config(self.repository(), writeable=writeable, as_of=self.as_of, **options)
        butler.repository.session.note = self.message
        return butler

    def watcher(self) -> Progress:
        """Who is told about progress: a bar on a terminal, else nobody."""
        import sys

        wanted = self.progress if self.progress is not None else sys.stderr.isatty()
        if not wanted:
            return NullProgress()
        from lakebutler.cli.progress_bar import BarProgress

        return BarProgress()


def _check_scheme(place: str) -> None:
    scheme, separator, _ = place.partition("://")
    if not separator or scheme == "file":
        return
    from fsspec.core import get_filesystem_class

    try:
        get_filesystem_class(scheme)
    except (ValueError, ImportError) as exc:
        raise NotARepositoryError(
            f"{place}: {str(exc)[:1].lower()}{str(exc)[1:]}",
            hint="give a directory, or a URL such as s3://bucket/prefix",
        ) from None


pass_session = click.make_pass_decorator(Session, ensure=True)
