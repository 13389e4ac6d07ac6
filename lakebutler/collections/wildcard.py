# SPDX-License-Identifier: BSD-3-Clause
"""Patterns for names of collections and dataset types.

A pattern is a glob: ``*`` stands for any text, slashes included, ``?`` for one
character, ``[abc]`` and ``[!abc]`` for one character of (or not of) a set.  A name
that exists is always that name, even if it could be read as a pattern.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from lakebutler.errors import CollectionExpressionError, CollectionNameError, InvalidQueryError

__all__ = [
    "Matches",
    "compile_pattern",
    "expressions",
    "is_pattern",
    "match_names",
    "named_collections",
    "resolve_names",
]

_MAGIC = re.compile(r"[*?\[]")
MAX_PATTERN = 4096


class Matches(NamedTuple):
    """What became of expressions."""

    names: list[str]
    """Names found, each once: in the order of the expressions, those of one pattern sorted."""

    missing: list[str]
    """Expressions that are no patterns and no names that exist."""

    unmatched: list[str]
    """Patterns that no name matches."""


def is_pattern(text: str) -> bool:
    """Tell whether a text can be read as a pattern.

    Parameters
    ----------
    text : `str`
        Some text.

    Returns
    -------
    pattern : `bool`
        `True` if it holds ``*``, ``?`` or ``[``.
    """
    return _MAGIC.search(text) is not None


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Convert a glob to a regular expression.

    Parameters
    ----------
    pattern : `str`
        A glob.

    Returns
    -------
    compiled : `re.Pattern`
        To be used with ``fullmatch``; upper and lower case differ.

    Raises
    ------
    CollectionNameError
        If it is too long.
    """
    if len(pattern) > MAX_PATTERN:
        raise CollectionNameError(f"the pattern {pattern[:40]!r}... is longer than {MAX_PATTERN} characters")
    return re.compile(fnmatch.translate(pattern))


def match_names(pattern: str, names: Iterable[str]) -> list[str]:
    """Find the names that match a glob.

    Parameters
    ----------
    pattern : `str`
        A glob.
    names : iterable of `str`
        Names.

    Returns
    -------
    found : `list` [`str`]
        Sorted.
    """
    if pattern == "*":
        return sorted(names)
    matches = compile_pattern(pattern).fullmatch
    return sorted(name for name in names if matches(name))


def expressions(given: Any) -> list[str | re.Pattern[str]]:
    """Bring what a caller may give as an expression into one form.

    Parameters
    ----------
    given : `str`, `re.Pattern`, ``...``, or iterable of them
        ``...`` stands for everything.

    Returns
    -------
    expressions : `list` [`str` or `re.Pattern`]
        Names, globs, regular expressions.

    Raises
    ------
    CollectionExpressionError
        If something else is among them.
    """
    if given is ...:
        return ["*"]
    if isinstance(given, str | re.Pattern):
        return [given]
    try:
        parts = list(given)
    except TypeError:
        raise _no_expression(given) from None
    made: list[str | re.Pattern[str]] = []
    for part in parts:
        if part is ...:
            made.append("*")
        elif isinstance(part, str | re.Pattern):
            made.append(part)
        else:
            raise _no_expression(part)
    return made


def _no_expression(given: Any) -> CollectionExpressionError:
    return CollectionExpressionError(
        f"collections are given by name, not as {type(given).__name__} {given!r}",
        hint="give a name, a glob such as 'HSC/*', or a list of them",
    )


def resolve_names(given: Any, names: Collection[str]) -> Matches:
    """Find the names that expressions stand for.

    Parameters
    ----------
    given : `str`, `re.Pattern`, ``...``, or iterable of them
        Names, globs, regular expressions (which must match the whole name).
    names : collection of `str`
        Names that exist.

    Returns
    -------
    matches : `Matches`
        What was found, and what was not.
    """
    existing = names if isinstance(names, set | frozenset | dict) else set(names)
    found: dict[str, None] = {}
    missing: list[str] = []
    unmatched: list[str] = []
    for expression in expressions(given):
        if isinstance(expression, re.Pattern):
            matched: Sequence[str] = sorted(n for n in existing if expression.fullmatch(n))
        elif expression in existing:
            matched = (expression,)
        elif is_pattern(expression):
            matched = match_names(expression, existing)
        else:
            missing.append(expression)
            continue
        if not matched:
            unmatched.append(expression if isinstance(expression, str) else expression.pattern)
        found.update(dict.fromkeys(matched))
    return Matches(list(found), missing, unmatched)


def named_collections(expression: Any, known: Iterable[str], *, ordered: bool = False) -> list[str] | None:
    """Names and globs of what says where to look; ``...`` is everything, `None` the default.

    Parameters
    ----------
    expression : `str`, `re.Pattern`, iterable of these, ``...`` or `None`
        As a caller gave it.
    known : iterable of `str`
        Collections that exist: a regular expression stands for those that match it as
        a whole, sorted.
    ordered : `bool`, optional
        Whether an order is needed, which a regular expression does not have.

    Returns
    -------
    names : `list` [`str`] or `None`
        The names.

    Raises
    ------
    CollectionExpressionError
        Raised if it is none of these.
    InvalidQueryError
        Raised if there is a regular expression where an order is needed.
    """
    if expression is None:
        return None
    names: list[str] = []
    for one in expressions(expression):
        if isinstance(one, str):
            names.append(one)
        elif ordered:
            raise InvalidQueryError(
                f"the regular expression {one.pattern!r} has no search order",
                hint="name the collections, or pass find_first=False",
            )
        else:
            names += sorted(name for name in known if one.fullmatch(name))
    return names
