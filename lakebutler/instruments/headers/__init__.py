# SPDX-License-Identifier: BSD-3-Clause
"""From the headers of raw files to observations."""
