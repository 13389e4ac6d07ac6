# SPDX-License-Identifier: BSD-3-Clause
"""How the command line fails: one to three lines and an exit code.

=====  =========================================================================
code   meaning
=====  =========================================================================
0      done
1      nothing found, and ``--exit-code`` was given
2      the call is wrong: unknown name, bad expression, missing file
3      conflict: the repository holds something different under this name
4      the repository, its storage or lakebutler itself failed
130    interrupted
=====  =========================================================================
"""

from __future__ import annotations

import click

from lakebutler.errors import (
    ButlerError,
    CommitConflictError,
    ConflictingDefinitionError,
    NotARepositoryError,
    RepositoryError,
    SnapshotNotFoundError,
)

__all__ = ["CONFLICT", "FAULT", "INTERRUPTED", "NOTHING_FOUND", "USER_ERROR", "exit_code", "message_lines"]

NOTHING_FOUND, USER_ERROR, CONFLICT, FAULT, INTERRUPTED = 1, 2, 3, 4, 130

_MAX_LINE = 400
_MAX_LINES = 4


def exit_code(error: BaseException) -> int:
    """Exit code that tells a program what kind of failure this was.

    Parameters
    ----------
    error : `BaseException`
        What was raised.

    Returns
    -------
    code : `int`
        See the module's table.
    """
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return INTERRUPTED
    if isinstance(error, ConflictingDefinitionError | CommitConflictError):
        return CONFLICT
    if isinstance(error, NotARepositoryError | SnapshotNotFoundError):
        return USER_ERROR
    if isinstance(error, RepositoryError):
        return FAULT
    if isinstance(error, ButlerError | click.ClickException | FileNotFoundError | PermissionError):
        return USER_ERROR
    if isinstance(error, FileExistsError | IsADirectoryError | NotADirectoryError) or _of_duckdb(error):
        return USER_ERROR
    return FAULT


def message_lines(error: BaseException) -> list[str]:
    """Say what went wrong.

    Parameters
    ----------
    error : `BaseException`
        What was raised.

    Returns
    -------
    lines : `list` [`str`]
        The first begins with ``error:``; a hint comes last.
    """
    lines, hint = _parts(error)
    lines = [line.rstrip() for line in lines if line.strip()]
    if len(lines) > _MAX_LINES:  # DuckDB lists candidates between what is wrong and where
        lines = [lines[0], *lines[1 - _MAX_LINES :]]
    lines = [line if len(line) <= _MAX_LINE else line[:_MAX_LINE] + "…" for line in lines]
    return [f"error: {lines[0] if lines else type(error).__name__}", *lines[1:], *([hint] if hint else [])]


def _parts(error: BaseException) -> tuple[list[str], str | None]:
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return ["interrupted"], None
    if isinstance(error, ButlerError):
        return error.message.splitlines(), error.hint
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx is not None else "lakebutler"
        return _usage_lines(error), f"see: {command} --help"
    if isinstance(error, click.ClickException):
        return error.format_message().splitlines(), None
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return [f"{where}{error.strerror}"], None
    if _of_duckdb(error):
        return str(error).splitlines(), None
    text = str(error) or "no message"
    return [
        f"{type(error).__name__}: {text.splitlines()[0]}"
    ], "this may be a fault in lakebutler; -v shows the traceback"


def _usage_lines(error: click.UsageError) -> list[str]:
    message = " ".join(error.format_message().split()).rstrip(".")
    return [message[:1].lower() + message[1:]]


def _of_duckdb(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0].lstrip("_") == "duckdb"
