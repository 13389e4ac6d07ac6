# SPDX-License-Identifier: BSD-3-Clause
"""Datastore: the files of datasets, on a local directory or an object store."""
