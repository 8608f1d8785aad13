"""Says what a command waits for, once that takes longer than two seconds, and how far it is.

In a pipe each wait is a log line, repeated at growing intervals. On a terminal `spinner` shows it instead.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from time import monotonic

logger = logging.getLogger(__name__)

SAID_AFTER_S = 2.0
# Pause between two lines of a wait, which doubles.
SAID_AGAIN_S = 5.0
MAX_PAUSE_S = 60.0


@dataclass
class Wait:
    """One wait of the command."""

    what: str
    """Noun behind "waiting for"."""
    state: str = ""
    """How far it is; the waiting code replaces it."""
    limit_s: float | None = None
    """Longest duration; None: unknown."""
    began: float = field(default_factory=monotonic)

    @property
    def line(self) -> str:
        """The wait at this moment, in words."""
        state = f": {self.state}" if self.state else ""
        limit = "" if self.limit_s is None else f" of {self.limit_s:g}"
        return f"waiting for {self.what}{state} ({monotonic() - self.began:.0f}{limit} s)"


Display = Callable[[Wait, Event], None]
"""Shows a wait until the event is set."""


def in_lines(wait: Wait, ended: Event) -> None:
    """Logs the wait now and again."""
    pause_s = SAID_AGAIN_S
    logger.info(wait.line)
    while not ended.wait(pause_s):
        logger.info(wait.line)
        pause_s = min(2 * pause_s, MAX_PAUSE_S)


_display: Display = in_lines


def show_with(display: Display) -> None:
    """Replaces the log lines."""
    global _display  # noqa: PLW0603 - a process has one terminal
    _display = display


@contextmanager
def waiting(what: str, state: str = "", limit_s: float | None = None) -> Iterator[Wait]:
    """Shows a wait while the block runs, from its third second on.

    Yields:
        the wait, whose `state` the block may replace.
    """
    wait, ended = Wait(what, state, limit_s), Event()
    # A thread: the block may be a single call that takes minutes.
    thread = Thread(target=_show, args=(wait, ended), daemon=True)
    thread.start()
    try:
        yield wait
    finally:
        ended.set()
        thread.join()


def _show(wait: Wait, ended: Event) -> None:
    if not ended.wait(SAID_AFTER_S):
        _display(wait, ended)
