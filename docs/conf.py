"""Settings of Sphinx for `make docs`: the project's pages as a site, with the reference from the code."""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "clients" / "python")]

project = "TorchServe gateway"
root_doc = "docs/index"
TABLES_OF_PAGES = {root_doc, "examples/README"}
include_patterns = ["*.md", "docs/*.md", "examples/**.md"]
# Environments, and folders that other commands build, have no pages.
exclude_patterns = [".*", "var"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# Links to headings in the form that the pages have on GitHub; a link without its heading is a warning.
myst_heading_anchors = 4

# Documented without being installed.
autodoc_mock_imports = ["numpy", "opentelemetry", "torch", "torchvision", "ts"]
autodoc_member_order = "bysource"
default_role = "code"

html_theme = "furo"
html_title = project
html_copy_source = False


def add_navigation(_: Sphinx, page: str, source: list[str]) -> None:
    """Makes the navigation of the links in a page's tables, a caption a section."""
    if page not in TABLES_OF_PAGES:
        return
    for section in re.split(r"^##? ", source[0], flags=re.MULTILINE):
        if pages := re.findall(r"^\|.*\]\((\S+)\.md\)", section, re.MULTILINE):
            caption = section.splitlines()[0]
            options = ["```{toctree}", ":hidden:", f":caption: {caption}"]
            source[0] += "\n".join(["", *options, "", *pages, "```", ""])


def setup(app: Sphinx) -> None:
    """Connects the navigation; Sphinx calls it."""
    app.connect("source-read", add_navigation)
