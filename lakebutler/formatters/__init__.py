# SPDX-License-Identifier: BSD-3-Clause
"""Formatters: how objects become files and files become objects, one file per format."""
