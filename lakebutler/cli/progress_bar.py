# SPDX-License-Identifier: BSD-3-Clause
"""Progress as bars on standard error."""

from __future__ import annotations

from typing import Any

__all__ = ["BarProgress"]


class BarProgress:
    """Show each stage of long work as a bar; what has ended leaves its line."""

    def __init__(self) -> None:
        self._bars: Any = None
        self._task: Any = None

    def start(self, what: str, total: int | None = None) -> None:
        """Begin a stage."""
        if self._bars is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
            )
            self._bars = Progress(*columns, console=Console(stderr=True))
            self._bars.start()
        self._task = self._bars.add_task(what, total=total)

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        if self._bars is not None:
            self._bars.advance(self._task, steps)

    def finish(self) -> None:
        """End the stage and give the terminal back."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = self._task = None
