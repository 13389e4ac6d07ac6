# SPDX-License-Identifier: BSD-3-Clause
"""The care of a whole repository: verify, collect garbage, pack, clone, compare."""
