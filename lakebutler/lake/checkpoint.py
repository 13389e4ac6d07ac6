# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints: the whole state at a version, so that opening need not read the whole log."""
