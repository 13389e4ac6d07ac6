# SPDX-License-Identifier: BSD-3-Clause
"""The butler: one façade over registry, datastore and queries."""
