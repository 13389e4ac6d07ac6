# SPDX-License-Identifier: BSD-3-Clause
"""Public conformance suites: whoever writes a plug-in subclasses one and gets its contract tested.

`lakebutler.testing.storage.StorageTests` is that of `lakebutler.lake.storage.Storage`.
They need pytest.
"""
