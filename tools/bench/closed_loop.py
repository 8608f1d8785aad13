"""Clients that send until a time is over."""

import asyncio
from collections.abc import Sequence

from torchserve_gateway.load_test.clients import Client
from torchserve_gateway.load_test.statistics import Tally


async def send(clients: Sequence[Client], tally: Tally, seconds: float) -> None:
    """Each client sends its image again when it has an answer; counts in the tally."""
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    await asyncio.gather(*(client.run(tally, stop) for client in clients))
