# SPDX-License-Identifier: BSD-3-Clause
"""``python -m lakebutler`` is the command line."""

from __future__ import annotations

from lakebutler.cli.main import main

if __name__ == "__main__":
    main()
