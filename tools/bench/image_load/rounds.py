"""Rounds in which the sizes take turns, in a closed and in an open loop."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile

from tools.bench.closed_loop import send
from tools.bench.peers.machine import Meter, Usage
from torchserve_gateway.load_test.clients import Client
from torchserve_gateway.load_test.open_loop import send_at
from torchserve_gateway.load_test.profiles import constant
from torchserve_gateway.load_test.statistics import Tally

ROUNDS = 3
ROUND_S = 4.0
WARM_UP_S = 1.0
# Rate of the open loop, as a share of the closed loop's images a second.
OPEN_SHARE = 0.7


@dataclass
class Loop:
    """Measurements of a size under a kind of load."""

    tally: Tally = field(default_factory=Tally)
    """Answers of all rounds."""
    rates: list[float] = field(default_factory=list)
    """Right answers a second, by round."""
    usages: list[Usage] = field(default_factory=list)
    """CPU time, by round."""
    cpu_ms: list[float] = field(default_factory=list)
    """CPU milliseconds of an image in gateway and TorchServe, by round."""


@dataclass
class Size:
    """A row: images of a size."""

    name: str
    clients: Sequence[Client]
    megabytes: float
    """Mean size of a request."""
    closed: Loop = field(default_factory=Loop)
    open: Loop = field(default_factory=Loop)


async def measure(sizes: Sequence[Size], servers: Sequence[int]) -> None:
    """Asks for reference answers, warms up and plays all rounds.

    Raises:
        NoAnswerError: a reference answer is missing.
    """
    for size in sizes:
        for client in size.clients:
            await client.learn()
        await _closed(size, Tally(), WARM_UP_S)
    for _ in range(ROUNDS):
        for size in sizes:
            await _round(partial(_closed, size), size.closed, servers)
            await _round(partial(_open, size), size.open, servers)


async def _round(play: Callable[[Tally, float], Awaitable[None]], loop: Loop, servers: Sequence[int]) -> None:
    meter, before = Meter(*servers), loop.tally.answered
    await play(loop.tally, ROUND_S)
    usage, answered = meter.usage(), loop.tally.answered - before
    loop.rates.append(answered / usage.seconds)
    loop.usages.append(usage)
    if answered:
        loop.cpu_ms.append(usage.servers_s * 1000 / answered)


async def _closed(size: Size, tally: Tally, seconds: float) -> None:
    await send(size.clients, tally, seconds)


async def _open(size: Size, tally: Tally, seconds: float) -> None:
    """Images come at even times, whether or not earlier images are answered."""
    times_s = constant(OPEN_SHARE * statistics.median(size.closed.rates))
    await send_at(size.clients, takewhile(lambda due_s: due_s < seconds, times_s), tally, asyncio.Event())
