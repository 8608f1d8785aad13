"""Requests at a fixed rate while something else happens, each answer checked."""

import asyncio
import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx

from configuration import PROJECT_ROOT
from load_test.clients import Client
from load_test.images import client_images
from load_test.open_loop import send_at_rate
from load_test.statistics import Tally
from tests.processes import GIVE_UP_S, until
from torchserve_api.pools import PooledTransport

RATE = 10
CLIENTS = 8
# Requests that were answered before something happens to those that follow.
FLOWING = 10


@contextlib.contextmanager
def open_load(gateway_url: str) -> Iterator[Tally]:
    """Sends in the background; at the end every request has been answered, and answered right."""
    tally, stop, loop = Tally(), asyncio.Event(), asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(loop.run_until_complete, _send(gateway_url, tally, stop))
        try:
            until(lambda: sending.done() or tally.answered >= FLOWING)
            yield tally
        finally:
            loop.call_soon_threadsafe(stop.set)
            sending.result()
            loop.close()
    assert not tally.errors


async def _send(gateway_url: str, tally: Tally, stop: asyncio.Event) -> None:
    async with httpx.AsyncClient(
        base_url=gateway_url, timeout=GIVE_UP_S, transport=PooledTransport()
    ) as http:
        images = client_images(PROJECT_ROOT / "imgs", CLIENTS)
        clients = [Client(http, "/predictions/genre", image, tolerance=1e-4) for image in images]
        await asyncio.gather(*(client.learn() for client in clients))
        await send_at_rate(clients, RATE, tally, stop)
