"""Finds processes whose event loop stands still."""

from collections.abc import Callable
from time import monotonic

# A process whose event loop has not run for so many seconds hangs.
HANGS_AFTER_S = 30.0
# A parent that was not there for so long was paused, as a container is, and its processes with it.
PAUSED_S = 10.0
# Seconds in which they show that they run.
BELIEVED_S = 5.0


class Watch:
    """Looks at the processes several times within PAUSED_S.

    Args:
        silent_s: Returns the seconds since the event loop of a process was last seen to run.
    """

    def __init__(self, silent_s: Callable[[int], float]) -> None:
        self._silent_s = silent_s
        self._looked_at = monotonic()
        self._believed_until = 0.0

    def hanging(self, processes: list[int]) -> list[int]:
        """Those of the processes that hang."""
        now, looked_at = monotonic(), self._looked_at
        self._looked_at = now
        if now - looked_at > PAUSED_S:
            self._believed_until = now + BELIEVED_S
        if now < self._believed_until:
            return []
        return [each for each in processes if self._silent_s(each) > HANGS_AFTER_S]
