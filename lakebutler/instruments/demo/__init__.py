# SPDX-License-Identifier: BSD-3-Clause
"""A simulated camera and a small repository made with it."""
