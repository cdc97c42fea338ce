"""How the pages become a site, by Sphinx, MyST and Furo. `make docs` builds it; a warning is an error."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tools")]

import docs_reference  # noqa: E402  (found by the path above)

docs_reference.write(HERE / "reference")

project = "pytest-lmms"
author = "the authors of pytest-lmms"
extensions = ["myst_parser"]
exclude_patterns = ["pictures"]
myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]
smartquotes = False  # `--` is no dash
html_theme = "furo"
html_title = "pytest-lmms"
html_show_sourcelink = False
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["site.css"]
