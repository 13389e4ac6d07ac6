# SPDX-License-Identifier: BSD-3-Clause
"""``tune-skypix``: at which level regions are covered with pixels."""

from __future__ import annotations

import click

from lakebutler.cli.output import Listing, emit, format_options
from lakebutler.cli.session import Session, pass_session, say
from lakebutler.cli.verb import Verb

__all__ = ["tune_skypix"]

_COLUMNS = ("level", "ranges", "candidates", "cover_us", "look_up_us", "is")


@click.command("tune-skypix", cls=Verb)
@click.option("--set", "chosen", metavar="LEVEL", help="Set it: a level, or 'best'.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which place on the sky to measure at.")
@format_options
@pass_session
def tune_skypix(session: Session, chosen: str | None, seed: int, output: str) -> None:
    """Measure at which HTM level regions are best covered with pixels, and set it.

    Lists for each level: rows of the index for each region, regions to be tested for each one that
    overlaps, and microseconds to cover a region and to find all that overlaps one. What is in the
    repository already stays as it is and goes on to be found: there is nothing to migrate.
    """
    from lakebutler.butler.maintenance import tune_skypix as tuning

    if chosen is not None and chosen != "best" and not chosen.isdigit():
        raise click.UsageError(f"--set {chosen}: it must be a level or 'best'", click.get_current_context())
    butler = session.butler(writeable=chosen is not None)
    if chosen is not None and chosen.isdigit():
        tuning.set_overlap_level(butler, int(chosen))
        say(f"regions are covered at level {chosen} from now on")
        return
    costs = tuning.tune_skypix(butler, seed=seed)
    if not costs:
        say("the repository has no regions")
        return
    now, best = tuning.overlap_level(butler), tuning.best_level(costs)
    words = {now: "now", best: "best"} if now != best else {now: "now, best"}
    rows = [
        (c.level, round(c.ranges, 1), round(c.candidates, 2), round(c.cover_us, 1), round(c.look_up_us, 1))
        for c in costs
    ]
    emit(Listing(_COLUMNS, [(*row, words.get(row[0], "")) for row in rows]), output)
    if chosen == "best":
        tuning.set_overlap_level(butler, best)
        say(f"regions are covered at level {best} from now on")
