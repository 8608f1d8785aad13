"""Open-loop load: requests at their due times, independent of earlier answers.

Latencies count from the due time of a request, so that a stall shows in all requests it delays; closed-loop
clients would hide it (coordinated omission).
"""

import asyncio
from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import Protocol

from torchserve_gateway.load_test.statistics import Tally


class Sending(Protocol):
    """A `Client`, or another that checks its answers."""

    async def send(self, tally: Tally, due_at: float) -> bool:
        """Sends once and counts."""


async def send_at(
    clients: Sequence[Sending], due_times_s: Iterable[float], tally: Tally, stop: asyncio.Event
) -> None:
    """Sends a request at each time, each client in turn, until `stop`; returns when all have ended.

    due_times_s: seconds after the start, ascending; see `profiles`.
    """
    started = perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, due_s in enumerate(due_times_s):
            due_at = started + due_s
            await asyncio.sleep(max(due_at - perf_counter(), 0))
            if stop.is_set():
                break
            group.create_task(clients[number % len(clients)].send(tally, due_at))
