# SPDX-License-Identifier: BSD-3-Clause
"""``demo``: a small simulated camera, from raw files to a picture."""

from __future__ import annotations

import time

import click

from lakebutler.cli.session import Session, pass_session, say

__all__ = ["demo"]


@click.command("demo")
@click.argument("directory", default="demo")
@click.option(
    "--replace/--no-replace",
    default=True,
    help="Remove an earlier demo from DIRECTORY first (and nothing else).",
)
@pass_session
def demo(session: Session, *, directory: str, replace: bool) -> None:
    """Simulate a small camera in DIRECTORY (demo by default) and make a repository of it.

    Two nights of biases, flats and science exposures are written as FITS files, ingested, calibrated,
    certified, chained, read back, queried, and drawn. Nothing is downloaded.
    """
    from lakebutler.instruments.demo.build import build_demo

    started = time.monotonic()
    click.echo(build_demo(directory, progress=session.watcher(), replace=replace))
    say(f"made in {time.monotonic() - started:.1f} s")
