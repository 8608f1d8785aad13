"""Closed-loop clients that cost little and check every answer's body."""

import asyncio
from dataclasses import dataclass
from time import perf_counter

import uvloop

from tools.bench.gateway_cost.http_messages import HEAD_END, ClosedLoopClient


@dataclass(frozen=True)
class Load:
    """A request that all clients send again and again."""

    port: int
    request: bytes
    """Head and body."""
    expected: bytes
    """Body of every answer."""


class WrongAnswerError(Exception):
    """An answer is not the expected one."""


class _Client(ClosedLoopClient):
    """A connection that sends the next request when the answer has come."""

    def __init__(self, load: Load, stop_at: float) -> None:
        super().__init__()
        self._load = load
        self._stop_at = stop_at

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport.write(self._load.request)

    def message_received(self, message: bytes) -> None:
        head, _, body = message.partition(HEAD_END)
        if not head.startswith(b"HTTP/1.1 200") or body != self._load.expected:
            self.end(WrongAnswerError(message[:500].decode(errors="replace")))
            return
        self.answered += 1
        if perf_counter() < self._stop_at:
            self.transport.write(self._load.request)
        else:
            self.end(None)


def answers(load: Load, clients: int, seconds: float) -> int:
    """Answers within `seconds` to so many clients.

    Raises:
        WrongAnswerError: an answer is not the expected one.
        OSError: a connection broke.
    """

    async def play() -> int:
        stop_at, loop = perf_counter() + seconds, asyncio.get_running_loop()
        made = [
            await loop.create_connection(lambda: _Client(load, stop_at), "127.0.0.1", load.port)
            for _ in range(clients)
        ]
        await asyncio.gather(*(client.ended for _, client in made))
        return sum(client.answered for _, client in made)

    return uvloop.run(play())
