"""Results on stdout: tables, lines, JSON. Coloured on a terminal, plain in a pipe and with NO_COLOR."""

import json
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from torchserve_gateway.terminal.words import THEME, Words

# Characters of a line where the output is no terminal; each command takes the width of its columns.
WIDTH = 120


def console(width: int = WIDTH) -> Console:
    """The console of results; width: where stdout is no terminal."""
    return Console(
        width=None if sys.stdout.isatty() else width,
        markup=False,
        emoji=False,
        highlight=False,
        theme=THEME,
    )


def print_table(
    columns: Sequence[str | Column],
    rows: Iterable[Sequence[RenderableType]],
    *,
    width: int = WIDTH,
    title: str | None = None,
) -> None:
    """Prints a table without lines; narrower terminals wrap within the cells."""
    table = Table(*columns, box=None, title=title)
    for row in rows:
        table.add_row(*row)
    console(width).print(table)


def print_line(text: str) -> None:
    """Prints a line with the states in it coloured."""
    line = Text(text)
    Words().highlight(line)
    console().print(line, soft_wrap=True)


def print_json(value: object) -> None:
    """Prints JSON for a script; nothing else goes to stdout then."""
    print(json.dumps(value, indent=1))
