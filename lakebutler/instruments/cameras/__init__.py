# SPDX-License-Identifier: BSD-3-Clause
"""Cameras: one data file each, and what reads and places them."""
