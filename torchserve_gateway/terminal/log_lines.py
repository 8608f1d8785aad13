"""Log lines and failures on a terminal: the words of the pipe, coloured by level and state."""

import logging

from rich.console import Console
from rich.text import Text

from torchserve_gateway.terminal.words import BAD, CHANGING, PAST, THEME, Words

LEVELS = {logging.WARNING: CHANGING, logging.ERROR: BAD, logging.CRITICAL: BAD}


class ColouredFormatter(logging.Formatter):
    """Colours a whole warning or error, and the states in other lines."""

    def format(self, record: logging.LogRecord) -> str:
        """The line with its ANSI codes."""
        line = Text(super().format(record), LEVELS.get(record.levelno, ""))
        if record.levelno < logging.WARNING:
            line.stylize(PAST, 0, len(record.asctime) if hasattr(record, "asctime") else 0)
            Words().highlight(line)
        return rendered(line)


def failure(said: str) -> str:
    """A line whose first word is the failure, with ANSI codes."""
    line = Text(said)
    line.stylize(BAD, 0, said.find(":") if ":" in said else len(said))
    return rendered(line)


def rendered(line: Text) -> str:
    """The text with ANSI codes for stderr; as a string: a progress bar may have replaced stderr."""
    console = Console(stderr=True, theme=THEME, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(line, soft_wrap=True, end="")
    return captured.get()
