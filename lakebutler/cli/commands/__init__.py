# SPDX-License-Identifier: BSD-3-Clause
"""One module per family of verbs; each verb is a click command."""
