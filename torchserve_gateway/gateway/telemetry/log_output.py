"""Writes log lines to a file descriptor from a thread of its own.

A full disk, a closed pipe or a reader that stands still costs log lines, never a request.
"""

import os
import time
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from threading import Condition, Thread

# Characters of the lines that may wait for a slow reader: some 10,000 ordinary lines.
MAX_WAITING = 4_000_000
# Lines of so many seconds are written at once: waking the thread for each costs more than the line.
COLLECTED_S = 0.02


class LogOutput:
    """The stream that log handlers write to.

    Args:
        descriptor: Open file descriptor that gets the lines.
        max_waiting: Characters that may wait to be written; a line above that is lost.
        alone: Held while lines are written, so that other processes' lines do not come between.
    """

    def __init__(
        self,
        descriptor: int,
        max_waiting: int = MAX_WAITING,
        alone: AbstractContextManager[None] | None = None,
    ) -> None:
        self._descriptor = descriptor
        self._alone = alone or nullcontext()
        self._max_waiting = max_waiting
        self._lines: deque[str] = deque()
        self._waiting = 0
        self._lost = 0
        self._closed = False
        self._waits = False
        self._changed = Condition()
        # A daemon: a reader that stands still must not keep the process from ending.
        self._thread = Thread(target=self._run, name="log output", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Lines that were not written, since the start."""
        return self._lost

    def write(self, line: str) -> int:
        """Takes one line, with its line end; returns at once and never raises."""
        with self._changed:
            if self._closed or self._waiting + len(line) > self._max_waiting:
                self._lost += 1
            else:
                self._waiting += len(line)
                self._lines.append(line)
                if self._waits:
                    self._changed.notify()
        return len(line)

    def flush(self) -> None:
        """Does nothing: lines are on their way already. Handlers call it after every line."""

    def close(self, timeout_s: float) -> None:
        """Takes no more lines; returns when all are written, or after timeout_s."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while lines := self._next_lines():
            text = "".join(lines)
            with self._alone:
                written = _is_written(self._descriptor, text)
            with self._changed:
                self._waiting -= len(text)
                self._lost += 0 if written else len(lines)

    def _next_lines(self) -> list[str]:
        """Waits for lines; returns none after the last lines of a closed output."""
        with self._changed:
            self._waits = True
            self._changed.wait_for(lambda: self._lines or self._closed)
            self._waits = False
        if not self._closed:
            time.sleep(COLLECTED_S)
        with self._changed:
            lines, self._lines = list(self._lines), deque()
        return lines


def _is_written(descriptor: int, text: str) -> bool:
    rest = memoryview(text.encode(errors="backslashreplace"))
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        return False
    return True
