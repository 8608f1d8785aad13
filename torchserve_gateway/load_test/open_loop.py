"""Open-loop load: requests at a fixed rate, independent of earlier answers.

Latencies count from the due time of a request, so that a stall shows in all requests it delays; closed-loop
clients would hide it (coordinated omission).
"""

import asyncio
from collections.abc import Sequence
from time import perf_counter

from torchserve_gateway.load_test.clients import Client
from torchserve_gateway.load_test.statistics import Tally


async def send_at_rate(clients: Sequence[Client], rate: float, tally: Tally, stop: asyncio.Event) -> None:
    """Sends `rate` requests a second, each client in turn, until `stop`; returns when all have ended."""
    started, due = perf_counter(), 0
    async with asyncio.TaskGroup() as group:
        while not stop.is_set():
            due_at = started + due / rate
            await asyncio.sleep(max(due_at - perf_counter(), 0))
            group.create_task(clients[due % len(clients)].send(tally, due_at))
            due += 1
