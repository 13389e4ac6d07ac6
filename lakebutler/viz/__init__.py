# SPDX-License-Identifier: BSD-3-Clause
"""Pictures: plain rows in, a figure out.  Nothing here knows a repository."""

from __future__ import annotations
