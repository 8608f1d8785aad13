"""The mechanical part of "How we write" in CONTRIBUTING.md holds."""

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from torchserve_gateway.settings.composition import PROJECT_ROOT

BANNED = re.compile(r"\b(nobody|somebody|everybody|anybody|whoever|for ever|what is so)\b", re.IGNORECASE)
VAGUE_SUMMARY = re.compile(r"(What|Who|Whose|Of)\s")
MIN_DOCSTRING_WORDS = 2
SOURCES = (
    "app.py",
    "stress.py",
    "upload_model.py",
    "torchserve_gateway",
    "ts_serialize",
    "clients",
    "docs",
    "examples",
    "tools",
)
COMMENTED = ("config", "deploy", "docker", ".ci")


def files(roots: tuple[str, ...], *patterns: str) -> list[str]:
    found = [
        path.relative_to(PROJECT_ROOT)
        for root in roots
        for pattern in patterns
        for path in (
            [PROJECT_ROOT / root] if (PROJECT_ROOT / root).is_file() else (PROJECT_ROOT / root).rglob(pattern)
        )
    ]
    return sorted(map(str, found))


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Strings that are statements: docstrings of modules, classes, functions and attributes."""
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.lineno, node.value.value.strip()


def comments(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def paragraphs(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a page without code blocks and inline code."""
    in_code = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        in_code ^= line.lstrip().startswith("```")
        if not in_code:
            yield number, re.sub("`[^`]*`", "", line)


def full_line_comments(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.lstrip().startswith("#"):
            yield number, line


def banned(texts: Iterator[tuple[int, str]]) -> list[str]:
    return [
        f"line {number}: {found[0]}"
        for number, text in texts
        for found in BANNED.finditer(re.sub("`[^`]*`", "", text))
    ]


@pytest.mark.parametrize("name", files(SOURCES, "*.py"))
def test_docstrings_and_comments_follow_the_rules(name: str) -> None:
    path = PROJECT_ROOT / name
    mistakes = banned(docstrings(path)) + banned(comments(path))
    for line, text in docstrings(path):
        if VAGUE_SUMMARY.match(text) or len(text.split()) < MIN_DOCSTRING_WORDS:
            mistakes.append(f"line {line}: the summary {text.splitlines()[0]!r}")
    assert mistakes == []


@pytest.mark.parametrize("name", files(("README.md", "SECURITY.md", "CHANGELOG.md", "docs"), "*.md"))
def test_pages_follow_the_rules(name: str) -> None:
    assert banned(paragraphs(PROJECT_ROOT / name)) == []


@pytest.mark.parametrize("name", files(COMMENTED, "*.yaml", "*.cfg", "*.Dockerfile", "run", "containers"))
def test_comments_of_configuration_follow_the_rules(name: str) -> None:
    assert banned(full_line_comments(PROJECT_ROOT / name)) == []
