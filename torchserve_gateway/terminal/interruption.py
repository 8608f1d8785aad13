"""Ctrl-C and SIGTERM end a command in a word, never in a traceback."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

# As a shell reports a command that Ctrl-C ended.
INTERRUPTED = 130


class TerminatedError(BaseException):
    """A SIGTERM came; like KeyboardInterrupt it passes every `except Exception`."""


def undo_at_sigterm() -> None:
    """Lets SIGTERM raise TerminatedError, so that blocks which undo and clean up run to their end."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: object) -> NoReturn:
    raise TerminatedError


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Turns a Ctrl-C anywhere in the block, the imports of a command included, into the exit code 130.

    Raises:
        SystemExit: there was a Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
