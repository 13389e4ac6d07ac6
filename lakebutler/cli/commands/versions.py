# SPDX-License-Identifier: BSD-3-Clause
"""``tag``, ``diff`` and ``restore``."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from lakebutler.cli.output import Listing, emit, format_options
from lakebutler.cli.session import Session, counted, pass_session, say
from lakebutler.cli.verb import Verb

if TYPE_CHECKING:
    from lakebutler.butler.maintenance.diff import Item, Version, VersionDiff
    from lakebutler.butler.versions import Restoration

__all__ = ["diff", "restore", "tag", "version_of"]

KINDS = ("dataset", "membership", "collection", "dataset type", "dimension record", "tag", "setting")
_COUNTS = ("kind", "change", "name", "collection", "count")


def version_of(text: str) -> int | str:
    """A version as typed: a number, or the name of a tag, or a time."""
    return int(text) if text.isdecimal() else text


@click.command("tag", cls=Verb)
@click.argument("name", required=False)
@click.argument("version", required=False)
@click.option("-m", "--message", default="", help="What to say of the version.")
@click.option("--delete", is_flag=True, help="Delete the tag NAME; the version stays.")
@format_options
@pass_session
@click.pass_context
def tag(
    ctx: click.Context,
    session: Session,
    *,
    name: str | None,
    version: str | None,
    message: str,
    delete: bool,
    output: str,
) -> None:
    """Name the VERSION (the newest by default) NAME; without a NAME, list the tags.

    A tag is never moved, and the name of a deleted one can only be given to the same version again.
    """
    if name is None:
        if delete:
            raise click.UsageError("missing argument 'NAME' for --delete", ctx)
        found = session.butler().tags()
        rows = [(t.name, t.version, t.message, t.sha256) for t in found]
        if not emit(Listing(("name", "version", "message", "sha256"), rows), output):
            say("no tag found")
        return
    butler = session.butler(writeable=True)
    if delete:
        if version is not None:
            raise click.UsageError("--delete takes no VERSION", ctx)
        gone = butler.delete_tag(name)
        click.echo(f"deleted tag {gone.name} (it was version {gone.version})")
        return
    made = butler.tag(name, version_of(version) if version is not None else None, message=message)
    click.echo(f"{made.name} = version {made.version}")


@click.command("diff", cls=Verb)
@click.argument("a")
@click.argument("b", required=False)
@click.option("--details", is_flag=True, help="List every thing that differs instead of counts.")
@click.option("--kind", type=click.Choice(KINDS), help="Only things of this kind.")
@click.option("--limit", type=click.IntRange(min=0), default=0, help="How many rows at most; 0 means all.")
@format_options
@pass_session
def diff(
    session: Session, *, a: str, b: str | None, details: bool, kind: str | None, limit: int, output: str
) -> None:
    """Show what differs from version A to version B (the newest by default).

    A and B are versions, tags or ISO 8601 times.
    """
    found = session.butler().diff(version_of(a), version_of(b) if b is not None else None)
    listing = _details(found, kind, limit) if details else _counts(found, kind, limit)
    if not emit(listing, output):
        say(f"no difference between versions {found.a.version} and {found.b.version}")


def _title(version: Version) -> str:
    return f"version {version.version} ({version.time:%Y-%m-%d %H:%M:%S})"


def _counts(found: VersionDiff, kind: str | None, limit: int) -> Listing:
    rows: list[tuple[Any, ...]] = [
        (one.kind, one.change, one.name, one.collection, one.count)
        for one in found.counts
        if kind in (None, one.kind)
    ]
    return Listing(_COUNTS, rows[: limit or None], f"from {_title(found.a)} to {_title(found.b)}")


def _details(found: VersionDiff, kind: str | None, limit: int) -> Listing:
    columns = ("kind", "change", "name", "collection", "data_id", "id", "fields", "before", "after")
    rows = [_detail(item) for item in islice(found.items(kind), limit or None)]
    return Listing(columns, rows, f"from {_title(found.a)} to {_title(found.b)}")


def _detail(item: Item) -> tuple[Any, ...]:
    data_id = dict(item.data_id) if item.data_id is not None else None
    place = (item.kind, item.change, item.name, item.collection)
    return (*place, data_id, item.id, list(item.fields), item.before, item.after)


@click.command("restore", cls=Verb)
@click.argument("version")
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would change.")
@click.option(
    "--allow-missing",
    is_flag=True,
    help="Bring datasets whose files are gone back as registered but not stored.",
)
@click.option("-m", "--message", default="", help="What to say of the commit.")
@format_options
@pass_session
def restore(
    session: Session, *, version: str, dry_run: bool, allow_missing: bool, message: str, output: str
) -> None:
    """Make everything as it was at VERSION, in one new commit; the history and the tags are kept.

    VERSION is a version, a tag or an ISO 8601 time.
    """
    butler = session.butler(writeable=not dry_run)
    done = butler.restore(version_of(version), dry_run=dry_run, allow_missing=allow_missing, message=message)
    emit([_counts(done.diff, None, 0), *_gone(done)], output)
    if dry_run:
        say(f"nothing was changed (--dry-run); version {done.target} would be restored")
        if done.gone:
            say(
                f"the files of {counted(len(done.gone), 'dataset')} are gone: --allow-missing goes on without"
            )
    elif done.version is None:
        say(f"nothing to do: everything is as it was at version {done.target}")
    else:
        say(f"version {done.version} is as version {done.target} was")


def _gone(done: Restoration) -> list[Listing]:
    if not done.gone:
        return []
    columns = ("kind", "change", "name", "collection", "id", "path")
    rows = [("file", "gone", g.dataset_type, g.run, g.id, g.path) for g in done.gone]
    return [Listing(columns, rows, "files that are gone")]
