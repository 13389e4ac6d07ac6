# SPDX-License-Identifier: BSD-3-Clause
"""The single file: what tar makes of it, what a crash leaves of it, what a stranger may put in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lakebutler.lake.storage import Storage, open_storage
from lakebutler.testing.storage import StorageTests


class TestFileStorage(StorageTests):
    @pytest.fixture
    def make_storage(self, tmp_path: Path) -> Callable[[], Storage]:
        return lambda: open_storage(tmp_path / "x.lake")
