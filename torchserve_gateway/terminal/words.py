"""Colours of the words that commands use, the same in every table and line."""

import re

from rich.highlighter import RegexHighlighter
from rich.style import Style
from rich.text import Text
from rich.theme import Theme

GOOD, CHANGING, BAD, PAST = "green", "yellow", "red", "dim"

# By the first word of a state: of a version, a worker, or a part of the stack.
STATES = {
    **dict.fromkeys(("serving", "ready", "running"), GOOD),
    **dict.fromkeys(("canary", "shadow", "retiring", "loading", "unloading"), CHANGING),
    **dict.fromkeys(("starting", "stopping"), CHANGING),
    **dict.fromkeys(("stopped", "backoff", "exited", "fatal", "unknown", "gone"), BAD),
    **dict.fromkeys(("kept", "registered"), PAST),
}


def style_of(state: str) -> str:
    """The colour of a state; empty for a word that has none."""
    return STATES.get(state.partition(" ")[0].lower(), "")


def state_cell(state: str) -> Text:
    """A state as the cell of a table."""
    return Text(state, style_of(state))


def share_cell(text: str) -> Text:
    """A cell that begins with "ready/all": green if all are, red if none is, yellow in between."""
    found = re.match(r"(\d+)/(\d+)", text)
    if found is None or found[2] == "0":
        return Text(text)
    ready, of = int(found[1]), int(found[2])
    return Text(text, GOOD if ready >= of else CHANGING if ready else BAD)


class Words(RegexHighlighter):
    """Colours the states that a log line names."""

    base_style = "word."
    highlights = [  # noqa: RUF012 - the base class declares it
        r"\b(?P<good>READY|RUNNING|serves(?: already)?)\b",
        r"\b(?P<changing>canary|shadow|waiting)\b",
        r"\b(?P<bad>FATAL|BACKOFF|EXITED)\b",
        r"\b(?P<past>retired|removed)\b",
    ]


THEME = Theme(
    {
        f"word.{name}": Style.parse(style)
        for name, style in {"good": GOOD, "changing": CHANGING, "bad": BAD, "past": PAST}.items()
    }
)
