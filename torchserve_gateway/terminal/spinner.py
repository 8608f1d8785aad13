"""All waits of a command at the end of a terminal's output; log lines stay whole above them."""

import sys
from functools import cache
from threading import Event, Lock

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner

from torchserve_gateway.terminal.waits import Wait

REFRESHES_PER_S = 8


@cache
def console() -> Console:
    """The console of all progress, on stderr; several displays of it stand below each other."""
    return Console(stderr=True)


class Spinners:
    """A line for each wait that is under way."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lines: dict[int, tuple[Wait, Spinner]] = {}
        self._live: Live | None = None

    def __call__(self, wait: Wait, ended: Event) -> None:
        """Shows a wait until it has ended."""
        kind = "line" if console().options.ascii_only else "dots"
        with self._lock:
            self._lines = self._lines | {id(wait): (wait, Spinner(kind))}
            if self._live is None:
                self._live = Live(
                    console=console(),
                    get_renderable=self._shown,
                    transient=True,
                    refresh_per_second=REFRESHES_PER_S,
                    # In a pipe it is the result.
                    redirect_stdout=sys.stdout.isatty(),
                )
                self._live.start()
        ended.wait()
        with self._lock:
            self._lines = {key: each for key, each in self._lines.items() if key != id(wait)}
            if not self._lines and self._live:
                self._live.stop()
                self._live = None

    def _shown(self) -> Group:
        lines = list(self._lines.values())
        for wait, spinner in lines:
            spinner.update(text=wait.line)
        return Group(*(spinner for _, spinner in lines))
