"""Links of the pages lead somewhere, and the files and targets that they name are there."""

import re
from functools import cache
from pathlib import Path

import pytest

from torchserve_gateway.settings.composition import PROJECT_ROOT

PAGES = sorted(
    page.relative_to(PROJECT_ROOT)
    for pattern in ("*.md", "docs/*.md", "examples/**/*.md")
    for page in PROJECT_ROOT.glob(pattern)
)
INDEX, EXAMPLES = Path("docs/index.md"), Path("examples/README.md")
SOURCES = "app|docker|deploy|docs|examples|tests|tools|torchserve_gateway|ts_serialize|.ci"
# Of the tutorials' Makefiles, with an equivalent beside them.
THEIR_TARGETS = {"docker-run", "docker-start", "docker-exec"}
# A link within the project, without the text before it.
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")


def prose(page: Path) -> str:
    """The page without code."""
    text = re.sub(r"^ *```.*?^ *```$", "", (PROJECT_ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`(?!\]\()", "", text)


@cache
def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as GitHub and the site make them."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[tuple[Path, str]]:
    """Files and anchors; a link within the page leads to the page."""
    found = LINK.findall(prose(page))
    folder = (PROJECT_ROOT / page).parent
    return [((folder / file).resolve() if file else PROJECT_ROOT / page, anchor) for file, anchor in found]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    dead = [
        f"{file.name}#{anchor}"
        for file, anchor in links(page)
        if not file.exists() or (anchor and anchor not in anchors(file))
    ]
    assert dead == []


def test_every_page_is_listed_for_its_reader() -> None:
    listed = {file for page in (INDEX, EXAMPLES) for file, _ in links(page)}
    assert {PROJECT_ROOT / page for page in PAGES if page != INDEX} - listed == set()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_files_and_targets_that_a_page_names_are_there(page: Path) -> None:
    text = (PROJECT_ROOT / page).read_text()
    files = re.findall(rf"`((?:{SOURCES})/[\w./-]+\.(?:py|md|yaml|cfg|conf|proto|Dockerfile))`", text)
    assert [file for file in files if not (PROJECT_ROOT / file).exists()] == []
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    targets = re.findall(r"^[`$ ]*make ([a-z][a-z0-9_-]*)", code, re.MULTILINE)
    made = (PROJECT_ROOT / "Makefile").read_text()
    unknown = [name for name in targets if not re.search(rf"^{name}:", made, re.MULTILINE)]
    assert set(unknown) - THEIR_TARGETS == set()
