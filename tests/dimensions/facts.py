# SPDX-License-Identifier: BSD-3-Clause
"""Facts about the field's universe, for the tests in this directory and beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FACTS: dict[str, Any] = json.loads((Path(__file__).parent / "field_facts.json").read_text(encoding="utf-8"))
