"""Commands on a page and the output that the page shows below each."""

import re
from typing import NamedTuple

import pytest

from tests.shown_blocks import fenced
from torchserve_gateway.settings.composition import PROJECT_ROOT

DECIMAL = r"\d+\.\d+(?:e-\d+)?"


class Shown(NamedTuple):
    """A command; the output below it, empty where the page shows none."""

    command: str
    output: str


def blocks(text: str) -> list[str]:
    """Fenced blocks without a language."""
    return [block.text for block in fenced(text) if not block.language]


def shown(page: str) -> list[Shown]:
    """The commands of a page that follow a `$`."""
    return [each for block in blocks((PROJECT_ROOT / page).read_text()) for each in commands_of(block)]


def commands_of(block: str) -> list[Shown]:
    """The commands of a block that follow a `$`."""
    found = re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    return [Shown(*pair) for pair in found]


def assert_printed(printed: str, page: str) -> None:
    """White space aside, `...` on the page stands for anything, and decimals are equal to three digits.

    The last digit may differ by 1: processors without AVX2 resize images with other rounding.
    """
    parts = re.split(rf"(\.\.\.|{DECIMAL})", "".join(page.split()))
    pattern = "".join(
        ".*" if part == "..." else f"({DECIMAL})" if re.fullmatch(DECIMAL, part) else re.escape(part)
        for part in parts
    )
    matched = re.fullmatch(pattern, "".join(printed.split()), re.DOTALL)
    assert matched, f"the page shows:\n{page}\nthe program prints:\n{printed}"
    wanted = [float(part) for part in parts if re.fullmatch(DECIMAL, part)]
    assert [float(each) for each in matched.groups()] == pytest.approx(wanted, abs=1.1e-3)


def table_of_readme(model: str) -> str:
    """The demo's table of a model, as README shows it."""
    readme = (PROJECT_ROOT / "README.md").read_text()
    [table] = re.findall(rf"^ image +{model} .*?^$", readme, re.DOTALL | re.MULTILINE)
    return str(table)
