"""Fenced blocks of the pages, and their comparison with what is printed."""

import re
from typing import NamedTuple

from torchserve_gateway.settings.composition import PROJECT_ROOT

FENCED = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
FIGURE = re.compile(r"[+-]?\d+(?:\.\d+)?(?:e-\d+)?")


class Block(NamedTuple):
    """A fenced block."""

    language: str
    text: str


def blocks_of(page: str) -> list[Block]:
    """All fenced blocks of a page."""
    return fenced((PROJECT_ROOT / page).read_text())


def fenced(text: str) -> list[Block]:
    """All fenced blocks of a text, without their indentation."""
    return [
        Block(language, re.sub(f"^{indent}", "", code, flags=re.MULTILINE))
        for indent, language, code in FENCED.findall(text)
    ]


def shown_block(page: str, start: str) -> str:
    """The block of a page that begins so, without the command in its first line.

    Pages and starts are written out in tests: test_shown_blocks.py reads there which blocks are compared.
    """
    [text] = [block.text for block in blocks_of(page) if block.text.startswith(start)]
    return re.sub(r"^\$ .*\n", "", text)


def assert_same_words(printed: str, page: str) -> None:
    """White space and figures aside; `...` on the page stands for anything."""
    wanted = ".*".join(re.escape(_words(part)) for part in page.split("..."))
    assert re.fullmatch(wanted, _words(printed), re.DOTALL), (
        f"the page shows:\n{page}\nthe program prints:\n{printed}"
    )


def quoted_text(page: str, text: str) -> str:
    """The text, which is part of what the page has between two backticks."""
    whole = " ".join((PROJECT_ROOT / page).read_text().split())
    assert re.search(f"`[^`]*{re.escape(text)}[^`]*`", whole), f"{page} does not quote: {text}"
    return text


def _words(text: str) -> str:
    return "".join(FIGURE.sub("#", text).split())
