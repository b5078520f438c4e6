"""Sphinx: the documentation, built without a network and without a warning.

python -m sphinx -W -b html docs build/docs
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from mpisign._version import __version__  # noqa: E402

project, author, release = "mpisign", "The mpisign developers", __version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinxcontrib.katex",
    "generated",
]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["mpisign.css"]
html_title = f"mpisign {__version__}"
# Formulas: the script comes with the extension; its style and fonts are in _static, so that no page asks the network.
katex_css_path = "katex/katex.min.css"
html_show_sphinx = False
smartquotes = False  # a formula such as x'Hx keeps its prime, and a name its quotes
html_copy_source = False
exclude_patterns = ["_ext", "_build", "_static"]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
nitpicky = False
suppress_warnings = ["mystnb.unknown_mime_type"]
