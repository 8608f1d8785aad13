"""The machine of a search: its cores, other programs, and other searches."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

# Runnable programs a core, averaged over a minute, above which the machine is not ours.
BUSY_SHARE = 0.5


class TuneError(Exception):
    """The search cannot begin."""


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def warn_if_busy() -> None:
    """Warns where other programs use the machine."""
    if os.getloadavg()[0] > BUSY_SHARE * cores():
        logger.warning("Other programs use this machine (load %.1f); that falsifies", os.getloadavg()[0])


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keeps other searches for the model out.

    Raises:
        TuneError: there is one.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError as exc:
        raise TuneError(f"another make tune uses {directory}; wait until it has ended") from exc
