# SPDX-License-Identifier: BSD-3-Clause
"""How often a butler reads and writes, and how long that takes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["ButlerMetrics", "MeasuringButler"]


@dataclass
class ButlerMetrics:
    """Counts and times of one stretch of work.

    Attributes
    ----------
    time_in_put, time_in_get, time_in_ingest : `float`
        Seconds spent.
    n_put, n_get, n_ingest : `int`
        Number of datasets put and read, and of files ingested.
    """

    time_in_put: float = 0.0
    time_in_get: float = 0.0
    time_in_ingest: float = 0.0
    n_get: int = 0
    n_put: int = 0
    n_ingest: int = 0

    def reset(self) -> None:
        """Begin again at nothing."""
        self.time_in_put = self.time_in_get = self.time_in_ingest = 0.0
        self.n_get = self.n_put = self.n_ingest = 0

    def increment_get(self, duration: float) -> None:
        """Note a `Butler.get` of so many seconds."""
        self.time_in_get += duration
        self.n_get += 1

    def increment_put(self, duration: float) -> None:
        """Note a `Butler.put` of so many seconds."""
        self.time_in_put += duration
        self.n_put += 1

    def increment_ingest(self, duration: float, n_datasets: int) -> None:
        """Note a `Butler.ingest` of so many seconds and files."""
        self.time_in_ingest += duration
        self.n_ingest += n_datasets

    def timing(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Make a method that does the same and is noted."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = method(*args, **kwargs)
            duration = time.perf_counter() - start
            if name == "ingest":
                self.increment_ingest(duration, len(args))
            else:
                {"get": self.increment_get, "put": self.increment_put}[name](duration)
            return result

        return timed


_MEASURED = ("get", "put", "ingest")


class MeasuringButler:
    """The verb of `Butler` that measures the others."""

    def _measure(self, metrics: ButlerMetrics) -> None:
        """Count and time what this butler reads and writes from now on."""
        for name in _MEASURED:
            self.__dict__[name] = metrics.timing(name, getattr(type(self), name).__get__(self))

    @contextlib.contextmanager
    def record_metrics(self, metrics: ButlerMetrics | None = None) -> Iterator[ButlerMetrics]:
        """Count and time what this butler reads and writes inside the block.

        Parameters
        ----------
        metrics : `ButlerMetrics`, optional
            What to add to; a new one by default.

        Yields
        ------
        metrics : `ButlerMetrics`
            What was counted; calls that fail are not.
        """
        recorded = metrics if metrics is not None else ButlerMetrics()
        before = {name: self.__dict__[name] for name in _MEASURED if name in self.__dict__}
        self._measure(recorded)
        try:
            yield recorded
        finally:
            for name in _MEASURED:
                del self.__dict__[name]
            self.__dict__.update(before)
