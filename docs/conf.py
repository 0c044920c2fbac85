"""The documentation as a site: `make docs`."""

from __future__ import annotations

from importlib.metadata import version as version_of

project = "dgmmis"
author = "The dgmmis developers"
release = version = version_of("dgmmis")

root_doc = "docs/contents"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "deploy/*.md",
    "notebooks/*.ipynb",
    "benchmarks/*.md",
]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
suppress_warnings = ["ref.python"]  # `covariances` is an attribute of several records
nb_execution_mode = "off"  # the tests execute them

autodoc_typehints = "none"  # the docstrings give types
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"dgmmis {release}"
html_show_sphinx = False
html_copy_source = False
