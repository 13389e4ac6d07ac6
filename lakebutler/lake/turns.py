# SPDX-License-Identifier: BSD-3-Clause
"""How writers on one remote store come to their turn without speaking to each other.

Who has just won lets the others go first: before its next claim it waits about as long
as the claims of all those take that committed since its last one.  Who has lost does not
wait at all.  So among many writers each comes to its turn after about one round.
"""

from __future__ import annotations

import random

__all__ = ["Turns"]

_LONGEST = 2.0


class Turns:
    """What one writer has seen of the others.

    Attributes
    ----------
    rivals : `int`
        Versions that others made between the last two of this writer.
    """

    def __init__(self) -> None:
        self.rivals = 0
        self._since = 0
        self._seconds = 0.0

    def others(self, versions: int) -> None:
        """Note that others made so many versions."""
        self._since += versions

    def won(self, seconds: float) -> None:
        """Note that a version was made, and how long the request for it took."""
        self.rivals, self._since = self._since, 0
        self._seconds = seconds if not self._seconds else 0.8 * self._seconds + 0.2 * seconds

    def pause(self) -> float:
        """Return how long to wait before a new claim, in seconds."""
        return random.uniform(0, min(2 * self.rivals * self._seconds, _LONGEST))
