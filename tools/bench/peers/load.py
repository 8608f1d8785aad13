"""Closed-loop clients that send the images in turn and compare every answer."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import uvloop

from tools.bench.gateway_cost.http_messages import HEAD_END, ClosedLoopClient

Answer = Mapping[str, float]
PATIENCE_S = 60.0


class WrongAnswerError(Exception):
    """An answer is no success, or differs from the expected one by more than the tolerance."""


@dataclass(frozen=True)
class Load:
    """The requests of a row, an image each, and their right answers."""

    port: int
    requests: Sequence[bytes]
    """Head and body."""
    expected: Sequence[Answer]
    read: Callable[[bytes], Answer]
    """Probabilities from an answer's body."""
    tolerance: float
    """Largest difference of a probability."""


def difference(answer: Answer, expected: Answer) -> float:
    """The largest difference of a probability.

    Raises:
        WrongAnswerError: the classes are others.
    """
    if answer.keys() != expected.keys():
        raise WrongAnswerError(f"classes {sorted(answer)} instead of {sorted(expected)}")
    return max(abs(answer[label] - value) for label, value in expected.items())


class _Client(ClosedLoopClient):
    """A connection that sends the next image when the answer has come."""

    def __init__(self, load: Load, position: int, goes_on: Callable[[int], bool]) -> None:
        super().__init__()
        self._load, self._position, self._goes_on = load, position, goes_on
        self.worst = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._send()

    def message_received(self, message: bytes) -> None:
        try:
            self.worst = max(self.worst, self._checked(message))
        except (WrongAnswerError, ValueError, LookupError, TypeError) as exc:
            shown = message[:500].decode(errors="replace")
            self.end(WrongAnswerError(f"{exc}: {shown}"))
            return
        self.answered += 1
        self._position += 1
        if self._goes_on(self.answered):
            self._send()
        else:
            self.end(None)

    def _checked(self, message: bytes) -> float:
        head, _, body = message.partition(HEAD_END)
        if not head.startswith(b"HTTP/1.1 200"):
            raise WrongAnswerError("no success")
        found = difference(self._load.read(body), self._load.expected[self._image])
        if found > self._load.tolerance:
            raise WrongAnswerError(f"a probability differs by {found:.4f}")
        return found

    @property
    def _image(self) -> int:
        return self._position % len(self._load.requests)

    def _send(self) -> None:
        self.transport.write(self._load.requests[self._image])


def compare(load: Load) -> float:
    """Asks for every image once and returns the largest difference of a probability.

    Raises:
        WrongAnswerError: an answer is wrong.
        OSError: the connection broke, or no answer came in time.
    """
    [client] = uvloop.run(_played(load, 1, lambda answered: answered < len(load.requests), 0))
    return client.worst


def answers(load: Load, clients: int, seconds: float) -> int:
    """Answers to so many clients within about `seconds`; raises as `compare`."""
    stop_at = perf_counter() + seconds
    played = uvloop.run(_played(load, clients, lambda _: perf_counter() < stop_at, seconds))
    return sum(client.answered for client in played)


async def _played(load: Load, clients: int, goes_on: Callable[[int], bool], seconds: float) -> list[_Client]:
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(partial(_Client, load, position, goes_on), "127.0.0.1", load.port)
        for position in range(clients)
    ]
    async with asyncio.timeout(seconds + PATIENCE_S):
        await asyncio.gather(*(client.ended for _, client in made))
    return [client for _, client in made]
