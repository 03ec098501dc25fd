"""Sphinx: `make docs` builds the tutorial and the API reference into site/."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import fastmd  # noqa: E402

project, author, release = "fastmd", "the fastmd developers", fastmd.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
html_theme = "alabaster"
html_theme_options = {"description": "Behler-Parrinello potentials, from reference data to molecular dynamics", "fixed_sidebar": True, "page_width": "1100px"}
exclude_patterns = ["README.md"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
myst_enable_extensions = ["colon_fence"]


def _as_written(app, what, name, obj, options, lines):
    """Our docstrings are plain text with tables of arguments: the first line as a sentence, the rest as it stands."""
    if len(lines) > 1 and any(line.strip() for line in lines[1:]):
        lines[1:] = ["", "::", "", *("    " + line for line in lines[1:])]


def setup(app):
    app.connect("autodoc-process-docstring", _as_written)
