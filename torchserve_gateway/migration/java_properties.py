"""Reads Java's properties files as `java.util.Properties.load` does."""

import re
from collections.abc import Iterator

ENCODING = "latin-1"
_BLANK = " \t\f"
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
# A key ends at the first separator that no backslash precedes.
_KEY = re.compile(rf"(?:\\.|[^\\=:{_BLANK}])*", re.DOTALL)


def parsed(text: str) -> dict[str, str]:
    """Values by key; the last of several wins.

    Raises:
        ValueError: a Unicode escape has no four hexadecimal digits.
    """
    found = {}
    for line in _logical_lines(text):
        match = _KEY.match(line)
        assert match is not None
        key, rest = match[0], line[match.end() :].lstrip(_BLANK)
        if rest[:1] in ("=", ":"):
            rest = rest[1:].lstrip(_BLANK)
        found[_unescaped(key)] = _unescaped(rest)
    return found


def _logical_lines(text: str) -> Iterator[str]:
    """Lines without comments, joined where an odd number of backslashes ends them."""
    lines = iter(re.split(r"\r\n|\r|\n", text))
    for first in lines:
        line = first.lstrip(_BLANK)
        if not line or line[0] in "#!":
            continue
        while _continues(line):
            line = line[:-1] + next(lines, "").lstrip(_BLANK)
        yield line


def _continues(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _unescaped(text: str) -> str:
    def character(escape: re.Match[str]) -> str:
        code = escape[1]
        if code[0] == "u":
            if len(code) == 1:
                raise ValueError(f"{text[:60]!r}: \\u needs four hexadecimal digits")
            return chr(int(code[1:], 16))
        return _CONTROL.get(code, code)

    return _ESCAPE.sub(character, text)
