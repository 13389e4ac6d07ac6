# SPDX-License-Identifier: BSD-3-Clause
"""``verify``, ``gc``, ``vacuum``, ``compact`` and ``checkpoint``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from lakebutler.cli.options import as_of_option
from lakebutler.cli.output import Listing, emit, format_options
from lakebutler.cli.session import Session, counted, pass_session, say
from lakebutler.cli.verb import Verb

if TYPE_CHECKING:
    from lakebutler.butler.maintenance.garbage import Garbage
    from lakebutler.butler.maintenance.verify import Report

__all__ = ["checkpoint", "compact", "gc", "vacuum", "verify"]

DAMAGED = 1


@click.command("verify", cls=Verb)
@click.option("--no-files", is_flag=True, help="Do not read the files of datasets: only look at their sizes.")
@click.option("--expect", metavar="SHA256", help="The digest that the newest version must have.")
@click.option("--repair", is_flag=True, help="Go back to a state that was committed; asks before it acts.")
@click.option("--yes", is_flag=True, help="With --repair: do not ask.")
@as_of_option
@format_options
@pass_session
@click.pass_context
def verify(
    ctx: click.Context,
    session: Session,
    *,
    no_files: bool,
    expect: str | None,
    repair: bool,
    yes: bool,
    output: str,
) -> None:
    """Look over the whole repository: the chain of commits, every hash, every dataset's file.

    What is found is listed by kind and object. Exit code 1 if anything is damaged; what is only left over
    (files that nothing refers to) is listed, and no damage.

    With --repair, list what would be done about damage to the registry and, when that is confirmed, do it:
    hints and checkpoints are made anew, and what lies behind a hole in the log is moved to
    registry/.damaged, so that the last whole version is the newest again. Nothing is removed. Exit code 1
    if damage is left.
    """
    from lakebutler.butler.maintenance import verify as looking

    if yes and not repair:
        raise click.UsageError("--yes only goes with --repair", ctx)
    if repair:
        _repair(ctx, session, yes=yes, output=output)
        return
    report = looking.verify(
        session.repository(),
        files=not no_files,
        expect=expect,
        as_of=session.as_of,
        progress=session.watcher(),
    )
    rows = [(f.kind, f.object, "damage" if f.damage else "left over", f.detail) for f in report.findings]
    if rows or output == "json":
        emit(Listing(("kind", "object", "status", "detail"), rows), output)
    for line in _summary(report):
        say(line)
    if report.damaged:
        ctx.exit(DAMAGED)


def _repair(ctx: click.Context, session: Session, *, yes: bool, output: str) -> None:
    from lakebutler.butler.maintenance import verify as looking

    root = session.repository()
    plan = looking.plan_repair(root)
    rows = [(step.verb, step.object, step.detail) for step in plan.steps]
    rows += [("needs a copy", finding.object, f"{finding.kind}: {finding.detail}") for finding in plan.beyond]
    if rows or output == "json":
        emit(Listing(("what", "object", "detail"), rows), output)
    if not plan.steps:
        say("nothing can be repaired here" if plan.beyond else "there is nothing to repair")
    else:
        lost = f"; versions {plan.head + 1} to {plan.before} go" if plan.lost else ""
        say(f"{counted(len(plan.steps), 'step')}; version {plan.head} will be the newest{lost}")
        if not yes and not (sys.stdin.isatty() and click.confirm("do it?", err=True)):
            say("nothing was done; --yes does it")
            ctx.exit(DAMAGED)
        looking.repair(root, plan)
        say("done; what was in the way lies in registry/.damaged")
    if plan.beyond:
        ctx.exit(DAMAGED)


def _summary(report: Report) -> list[str]:
    registry, datasets = report.registry, report.datasets
    many = f"{counted(registry.files, 'data file')}, {counted(registry.checkpoints, 'checkpoint')}"
    lines = [f"registry: versions {registry.first} to {registry.head}, {many}, {registry.bytes} bytes read"]
    if datasets is not None:
        known = f"{datasets.hashed} read and compared ({datasets.bytes} bytes)"
        lines.append(
            f"datasets: {datasets.datasets} in {counted(datasets.files, 'file')}, {known}, "
            f"{datasets.unproved} without a checksum, {datasets.outside} outside"
        )
    damaged = sum(finding.damage for finding in report.findings)
    lines.append(f"{counted(damaged, 'damage')}; root {registry.sha256}")
    return lines


def _days(_: click.Context, __: click.Parameter, value: float) -> timedelta:
    return timedelta(days=value)


def _window(default: float, text: str) -> Callable[[Any], Any]:
    return click.option(
        "--window", type=click.FloatRange(0), default=default, show_default=True, callback=_days,
        metavar="DAYS", help=text,
    )  # fmt: skip


def _delete(function: Any) -> Any:
    function = click.option(
        "--offline", is_flag=True, help="Nobody else writes: the window may be less than a day."
    )(function)
    return click.option("--delete", is_flag=True, help="Do it; otherwise it is only listed.")(function)


@click.command("gc", cls=Verb)
@_delete
@_window(1, "Leave alone what is younger, by the clock of the store.")
@format_options
@pass_session
def gc(session: Session, *, delete: bool, offline: bool, window: timedelta, output: str) -> None:
    """List, or remove, the files that no version of the repository refers to."""
    from lakebutler.butler.maintenance.garbage import collect_garbage

    butler = session.butler(writeable=delete)
    found = collect_garbage(butler.repository, window, delete=delete, offline=offline)
    emit(_garbage(found), output)
    _say_removed(found, delete)


def _garbage(found: Garbage) -> Listing:
    rows: list[tuple[Any, ...]] = [("dataset", info.path, info.size) for info in found.datasets]
    rows += [("registry", info.path, info.size) for info in found.registry]
    rows += [("temporary", path, None) for path in found.temporary]
    return Listing(("kind", "path", "bytes"), rows)


def _say_removed(found: Garbage, delete: bool) -> None:
    if delete:
        say(f"removed {counted(found.removed, 'file')}, {found.bytes} bytes")
    else:
        more = "; --delete removes them" if len(found) else ""
        say(f"{counted(len(found), 'file')}, {found.bytes} bytes that no version refers to{more}")


@click.command("vacuum", cls=Verb)
@_delete
@_window(7, "Keep every version that was the newest at some time in these days.")
@format_options
@pass_session
def vacuum(session: Session, *, delete: bool, offline: bool, window: timedelta, output: str) -> None:
    """Let old versions go, but for those with a tag, and the files that only they refer to."""
    from lakebutler.butler.maintenance.garbage import vacuum as let_go

    butler = session.butler(writeable=delete)
    done = let_go(butler.repository, window, delete=delete, offline=offline)
    emit(_garbage(done.garbage), output)
    expiry = done.expiry
    word = "gone" if delete else "would go"
    if expiry.versions:
        kept = f", tagged ones kept: {', '.join(map(str, expiry.tagged))}" if expiry.tagged else ""
        say(f"versions {expiry.oldest} to {expiry.boundary - 1} {word}{kept}")
    else:
        say("no version is older than that")
    _say_removed(done.garbage, delete)


@click.command("compact", cls=Verb)
@pass_session
def compact(session: Session) -> None:
    """Rewrite many small parts of the registry's tables into few; no row changes."""
    lake = session.butler(writeable=True).repository.lake
    tables = lake.compact(everything=True)
    lake.checkpoint()
    click.echo(f"rewrote {counted(len(tables), 'table')}; version {lake.head.version}")


@click.command("checkpoint", cls=Verb)
@pass_session
def checkpoint(session: Session) -> None:
    """Write the whole state at the newest version, so that opening need not read the log."""
    lake = session.butler(writeable=True).repository.lake
    lake.checkpoint()
    click.echo(f"checkpoint of version {lake.head.version}")
