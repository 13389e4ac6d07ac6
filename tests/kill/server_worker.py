# SPDX-License-Identifier: BSD-3-Clause
"""A writer that goes on while its server dies and comes back, and says how each put ended."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import Any

from lakebutler import Butler
from lakebutler.errors import CommitUnknownError, RepositoryError
from tests.kill.butler_worker import content, where

PLANTS = ("says done", "says failed")


def keep_writing(
    url: str, options: dict[str, Any], run: str, stop: Event, said: Connection, plant: str | None = None
) -> None:
    """Put dataset after dataset until told to stop; each is ``done``, ``failed`` or ``unknown``."""
    butler = Butler.from_config(url, run=run, storage_options=options)
    number = 0
    while not stop.is_set():
        try:
            butler.put(content(run, number), "kill", where(number))
            said.send((number, "failed" if plant == "says failed" and number % 7 == 6 else "done"))
        except CommitUnknownError:
            said.send((number, "unknown"))
        except RepositoryError:
            said.send((number, "done" if plant == "says done" else "failed"))
            time.sleep(0.1)
        number += 1
    said.send((-1, "end"))
