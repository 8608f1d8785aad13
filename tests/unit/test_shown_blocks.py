"""Each block of the pages that shows output is compared with the program's."""

import re
from pathlib import Path

import pytest

from tests.shown_blocks import Block, blocks_of
from torchserve_gateway.settings.composition import PROJECT_ROOT

PAGES = sorted(
    str(file.relative_to(PROJECT_ROOT))
    for file in (
        PROJECT_ROOT / "README.md",
        *PROJECT_ROOT.glob("docs/*.md"),
        *PROJECT_ROOT.glob("examples/*/README.md"),
    )
)
# A block of a page without a test, by its first line, with the reason.
ILLUSTRATIONS = {
    ("docs/containers.md", "$ podman images"): "podman prints it; no test builds all of these images",
}
# First words of a shell's lines; a block of such lines alone has no output.
SHELL = (
    *("make", "torchserve-gateway", "gateway-client", "curl", "pip", "kubectl", "haproxy", "torchserve"),
    *("torch-model-archiver", "python", ".venv/bin/python", "cp", "mkdir", "printf", "cat", "for", "done"),
    *("export", "."),
)
IN_TESTS = re.compile(r'shown_block\(\s*"([^"\n]+)",\s*"([^"\n]+)"')
HEREDOC = re.compile(r"<<'?(\w+)'?\n.*?^\1\n", re.DOTALL | re.MULTILINE)


def sources() -> list[str]:
    """Of all tests but this file."""
    files = (PROJECT_ROOT / "tests").rglob("*.py")
    return [file.read_text() for file in files if file != Path(__file__)]


def names(source: str, page: str) -> bool:
    """Whether a test has the page's path, as a text or of parts."""
    return f'"{page}"' in source or '"{}"'.format(page.replace("/", '" / "')) in source


COMPARED = {found for source in sources() for found in IN_TESTS.findall(source)}
# Their commands are run, and what follows each is compared.
RUN = {page for page in PAGES if any("assert_printed(" in each and names(each, page) for each in sources())}


def shows_output(block: Block) -> bool:
    """Whether the block is more than commands or a file's text, which has a language."""
    text = HEREDOC.sub("\n", re.sub(r"\\\n", "", block.text))
    first, *others = text.splitlines()
    lines = [first, *(line for line in others if line[:1].strip())]
    return block.language in ("", "json") and any(line.split()[0] not in SHELL for line in lines)


def is_compared(page: str, block: Block) -> bool:
    """Whether a test takes it by `shown_block`, or runs the page's commands."""
    if block.text.startswith("$ ") and page in RUN:
        return True
    known = COMPARED | ILLUSTRATIONS.keys()
    return any(block.text.startswith(start) for where, start in known if where == page)


@pytest.mark.parametrize("page", PAGES)
def test_every_output_is_compared_with_the_programs(page: str) -> None:
    unknown = [each.text for each in blocks_of(page) if shows_output(each) and not is_compared(page, each)]
    assert unknown == [], (
        f"take it in a test by shown_block({page!r}, its first words), or list it in ILLUSTRATIONS; a file's "
        "text gets a language"
    )


def test_illustrations_are_still_there() -> None:
    for page, start in ILLUSTRATIONS:
        assert any(block.text.startswith(start) for block in blocks_of(page)), (page, start)
