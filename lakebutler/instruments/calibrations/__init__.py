# SPDX-License-Identifier: BSD-3-Clause
"""Calibrations that people keep as files, and the camera's geometry, with their validity."""
