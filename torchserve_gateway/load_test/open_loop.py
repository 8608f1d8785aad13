"""Requests at a fixed rate, whether or not earlier ones were answered: as strangers send them.

A latency counts from when the request was due, so a server that stalls is charged for all that it keeps
waiting; a client that waits for its answers would hide that.
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
