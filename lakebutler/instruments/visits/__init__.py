# SPDX-License-Identifier: BSD-3-Clause
"""Visits: exposures that belong together, and the regions of their detectors."""
