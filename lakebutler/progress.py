# SPDX-License-Identifier: BSD-3-Clause
"""Progress of long work: the core reports, whoever stands above shows it.

The library never prints.  Long operations take a ``progress`` argument, any
object with the methods of `Progress`; the default does nothing.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["CollectingProgress", "NullProgress", "Progress"]


@runtime_checkable
class Progress(Protocol):
    """What long work calls while it goes on."""

    def start(self, what: str, total: int | None = None) -> None:
        """Begin a stage.

        Parameters
        ----------
        what : `str`
            The stage, for a person.
        total : `int`, optional
            How many steps it has, where known.
        """

    def advance(self, steps: int = 1) -> None:
        """Report finished steps of the current stage.

        Parameters
        ----------
        steps : `int`, optional
            How many.
        """

    def finish(self) -> None:
        """End the current stage."""


class NullProgress:
    """Progress that nobody watches."""

    def start(self, what: str, total: int | None = None) -> None:
        """Ignore the start of a stage."""

    def advance(self, steps: int = 1) -> None:
        """Ignore finished steps."""

    def finish(self) -> None:
        """Ignore the end of a stage."""


class CollectingProgress:
    """Progress kept as a list of stages, for tests and reports.

    Attributes
    ----------
    stages : `list` [`tuple` [`str`, `int`]]
        Name of each stage and the number of steps it reported.
    """

    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []

    def start(self, what: str, total: int | None = None) -> None:
        """Begin a stage."""
        self.stages.append((what, 0))

    def advance(self, steps: int = 1) -> None:
        """Count finished steps."""
        what, done = self.stages[-1]
        self.stages[-1] = (what, done + steps)

    def finish(self) -> None:
        """End the current stage; nothing to do."""
