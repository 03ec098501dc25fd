"""Sphinx: `make docs` builds the tutorial and the API reference into site/."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import fastmd  # noqa: E402

project, author, release = "fastmd", "the fastmd developers", fastmd.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
html_theme = "alabaster"
html_theme_options = {"description": "Behler-Parrinello potentials, from reference data to molecular dynamics", "fixed_sidebar": True, "page_width": "1100px"}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
myst_heading_anchors = 2
smartquotes = False  # --test is two hyphens


def _as_written(app, what, name, obj, options, lines):
    """Our docstrings are plain text with tables of arguments: the first line as a sentence, the rest as it stands."""
    if any(line.strip() for line in lines[1:]):
        lines[1:] = ["", "::", "", *("    " + line for line in lines[1:])]
    if lines:
        lines[0] = re.sub(r"([*|\\]|_(?=\W|$))", r"\\\1", lines[0])


def _columns(app, ctx, lines):
    """What --help sets line by line (after click's backspace; here it comes with bars) keeps its lines and columns."""
    found, before = [], ""
    for line in lines:
        if line.startswith("| ") and not before.startswith("| "):
            found += ["", "::", ""]
        found.append("    " + line[2:] if line.startswith("| ") else line)
        before = line
    lines[:] = found


def setup(app):
    app.connect("autodoc-process-docstring", _as_written)
    app.connect("sphinx-click-process-description", _columns)
