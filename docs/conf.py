"""How the documentation is built: sphinx-build -W -b html docs docs/_build/html."""

import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import rocketjob

sys.path.append(str(Path(__file__).parent.parent / "scripts"))

project = "RocketJob"
author = "The RocketJob developers"
copyright = "2026, The RocketJob developers"
version = release = rocketjob.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
default_role = "code"  # docstrings write `name`
nitpicky = False  # signatures name types of the standard library, which are not linked offline

html_theme = "furo"
html_title = f"RocketJob {version}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["rocketjob.css"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
autodoc_default_options = {"exclude-members": "__init__, __new__"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False


class Reference(SphinxDirective):
    """`{reference} hooks`: what scripts/reference.py writes of them."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        import reference

        text = reference.PARTS[self.arguments[0]]()
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> None:
    app.add_directive("reference", Reference)
