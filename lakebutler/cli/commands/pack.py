# SPDX-License-Identifier: BSD-3-Clause
"""``pack`` and ``unpack``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lakebutler.cli.options import as_of_option
from lakebutler.cli.session import Session, counted, pass_session, say
from lakebutler.cli.verb import Verb

if TYPE_CHECKING:
    from lakebutler.butler.maintenance.pack import Packed

__all__ = ["pack", "unpack"]

_expect = click.option(
    "--expect",
    metavar="HASH",
    help="Root hash that the version must have, as pack printed it; the whole log is checked then.",
)


@click.command("pack", cls=Verb)
@click.argument("target", metavar="FILE.lake")
@click.option("--registry-only", is_flag=True, help="Leave out the files of datasets.")
@_expect
@as_of_option
@pass_session
def pack(session: Session, *, target: str, registry_only: bool, expect: str | None) -> None:
    """Copy one version of the repository into FILE.lake: a repository in one file, that tar can read too.

    The root hash that is printed stands for the version and all that led to it.
    """
    from lakebutler.butler.maintenance import pack as packing

    done = packing.pack(
        session.repository(),
        target,
        as_of=session.as_of,
        registry_only=registry_only,
        expect=expect,
        progress=session.watcher(),
    )
    _report(done, expect)


@click.command("unpack", cls=Verb)
@click.argument("target", metavar="DIRECTORY")
@_expect
@as_of_option
@pass_session
def unpack(session: Session, *, target: str, expect: str | None) -> None:
    """Make a repository directory of the lake file REPO, checking every byte of it."""
    from lakebutler.butler.maintenance import pack as packing

    done = packing.unpack(
        session.repository(), target, as_of=session.as_of, expect=expect, progress=session.watcher()
    )
    _report(done, expect)


def _report(done: Packed, expect: str | None) -> None:
    click.echo(f"{done.path}: version {done.version}, {counted(done.files, 'file')}, {done.bytes} bytes")
    click.echo(f"root hash: {done.sha256}")
    if done.left:
        say(f"the files of {counted(done.left, 'dataset')} were left out")
    if done.outside:
        say(f"the files of {counted(done.outside, 'dataset')} lie outside of the repository and stayed there")
    if expect is not None and not done.proved:
        say("the log does not go back to its beginning: the hash proves only what is left of it")
