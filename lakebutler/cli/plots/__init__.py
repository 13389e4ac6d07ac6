# SPDX-License-Identifier: BSD-3-Clause
"""The pictures of the verb ``plot``: what is read from a repository for each."""
