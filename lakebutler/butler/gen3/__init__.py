# SPDX-License-Identifier: BSD-3-Clause
"""Repositories of ``lsst.daf.butler`` (generation 3), read and converted."""
