"""Tells a client that only stops sending from one that has gone."""

import asyncio
from collections.abc import Callable

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
FIRST_S = 0.1


class PresenceProbes:
    """Sends what clients of HTTP/1.1 ignore; the connection of a client that has gone breaks by it.

    may_send: whether no answer has begun that it would come in between, and the client knows HTTP/1.1.
    """

    def __init__(self, transport: asyncio.Transport, may_send: Callable[[], bool]) -> None:
        self._transport = transport
        self._may_send = may_send
        self._timer: asyncio.TimerHandle | None = None

    def start(self, next_s: float = FIRST_S) -> None:
        """Sends the first now, and others at growing intervals, until the connection is closed."""
        if self._transport.is_closing():
            return
        if self._may_send():
            self._transport.write(CONTINUE)
        self._timer = asyncio.get_running_loop().call_later(next_s, self.start, 2 * next_s)

    def stop(self) -> None:
        """The connection is lost."""
        if self._timer:
            self._timer.cancel()
