# SPDX-License-Identifier: BSD-3-Clause
"""A repository in one file: a tar archive that grows at its end."""
