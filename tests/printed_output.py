"""Compares the output that a page shows with the output of the program."""

import re

import pytest

from torchserve_gateway.settings.composition import PROJECT_ROOT

DECIMAL = r"\d+\.\d+(?:e-\d+)?"


def assert_printed(printed: str, page: str) -> None:
    """White space aside, `...` on the page stands for anything, and decimals are equal to three digits."""
    parts = re.split(rf"(\.\.\.|{DECIMAL})", "".join(page.split()))
    pattern = "".join(
        ".*" if part == "..." else f"({DECIMAL})" if re.fullmatch(DECIMAL, part) else re.escape(part)
        for part in parts
    )
    matched = re.fullmatch(pattern, "".join(printed.split()), re.DOTALL)
    assert matched, f"the page shows:\n{page}\nthe program prints:\n{printed}"
    wanted = [float(part) for part in parts if re.fullmatch(DECIMAL, part)]
    assert [float(each) for each in matched.groups()] == pytest.approx(wanted, abs=1e-3)


def table_of_readme(model: str) -> str:
    """The demo's table of a model, as README shows it."""
    readme = (PROJECT_ROOT / "README.md").read_text()
    [table] = re.findall(rf"^ image +{model} .*?^$", readme, re.DOTALL | re.MULTILINE)
    return str(table)
