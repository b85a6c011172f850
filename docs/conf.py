"""The documentation as a site: `make docs` builds it, offline, and a warning is an error."""

import re
from pathlib import Path

project = "jaxgen"
author = "the jaxgen developers"
version = re.search(
    r"__version__ = \"(.+)\"", (Path(__file__).parents[1] / "jaxgen/__init__.py").read_text()
)[1]
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "jaxgen"
myst_heading_anchors = 4
