# SPDX-License-Identifier: BSD-3-Clause
"""Sphinx configuration."""

from __future__ import annotations

import lakebutler

project = "lakebutler"
author = "The lakebutler developers"
copyright = "The lakebutler developers"
release = lakebutler.__version__
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "templates"]
html_theme = "furo"
html_title = f"lakebutler {release}"
templates_path = ["templates"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# Notes point into the source tree (formats/, tests/), which is no part of the pages.
suppress_warnings = ["myst.xref_missing"]

default_role = "code"
autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
add_module_names = False
