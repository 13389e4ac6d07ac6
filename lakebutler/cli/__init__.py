# SPDX-License-Identifier: BSD-3-Clause
"""The command line.  Modules here import what is heavy only inside command bodies."""
