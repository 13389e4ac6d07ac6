# SPDX-License-Identifier: BSD-3-Clause
"""The ingest of raw files."""
