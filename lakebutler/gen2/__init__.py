# SPDX-License-Identifier: BSD-3-Clause
"""Repositories of ``lsst.daf.persistence`` (generation 2), found, read and converted."""
