"""Detects clients that closed their connection, as opposed to clients that only finished sending."""

import asyncio
from collections.abc import Callable

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
FIRST_S = 0.1


class PresenceProbes:
    """Sends `100 Continue`, which HTTP/1.1 clients ignore and a closed connection answers with a reset.

    Args:
        transport: The half-closed connection.
        may_send: Whether a probe may be sent: the client speaks HTTP/1.1 and its answer has not begun.
    """

    def __init__(self, transport: asyncio.Transport, may_send: Callable[[], bool]) -> None:
        self._transport = transport
        self._may_send = may_send
        self._timer: asyncio.TimerHandle | None = None

    def start(self, next_s: float = FIRST_S) -> None:
        """Sends a probe now and further probes at doubling intervals until the connection closes."""
        if self._transport.is_closing():
            return
        if self._may_send():
            self._transport.write(CONTINUE)
        self._timer = asyncio.get_running_loop().call_later(next_s, self.start, 2 * next_s)

    def stop(self) -> None:
        """Stops probing a lost connection."""
        if self._timer:
            self._timer.cancel()
