# SPDX-License-Identifier: BSD-3-Clause
"""Repositories exchanged: exports, imports, zips and transfers."""
