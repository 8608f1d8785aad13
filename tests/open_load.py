"""Requests at a fixed rate while something else happens, each answer checked."""

import asyncio
import contextlib
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.processes import until
from torchserve_gateway.load_test.clients import Client
from torchserve_gateway.load_test.images import client_images
from torchserve_gateway.load_test.open_loop import send_at_rate
from torchserve_gateway.load_test.statistics import Tally
from torchserve_gateway.settings.composition import PROJECT_ROOT
from torchserve_gateway.torchserve_api.pools import PooledTransport

RATE = 10
CLIENTS = 8
# Seconds after which a request hangs: more than the gateway's deadline_s.
HANGS_S = 30
# Requests that were answered before something happens to those that follow.
FLOWING = 10
# Answers in a row after which the service counts as recovered.
UNDISTURBED = 30


@contextlib.contextmanager
def open_load(gateway_url: str, allowed: Collection[str] = ()) -> Iterator[Tally]:
    """Sends in the background. At the end every request has ended: answered right, or with one of `allowed`.

    allowed: errors as the tally names them, for example `HTTP 503`.
    """
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
    assert tally.errors.keys() <= set(allowed), tally.errors


def until_undisturbed(tally: Tally) -> None:
    """Returns when so many requests in a row were answered right."""
    errors, answered = -1, 0

    def undisturbed() -> bool:
        nonlocal errors, answered
        if tally.errors.total() != errors:
            errors, answered = tally.errors.total(), tally.answered
        return tally.answered >= answered + UNDISTURBED

    until(undisturbed)


async def _send(gateway_url: str, tally: Tally, stop: asyncio.Event) -> None:
    async with httpx.AsyncClient(base_url=gateway_url, timeout=HANGS_S, transport=PooledTransport()) as http:
        images = client_images(PROJECT_ROOT / "imgs", CLIENTS)
        clients = [Client(http, "/predictions/genre", image, tolerance=1e-4) for image in images]
        await asyncio.gather(*(client.learn() for client in clients))
        await send_at_rate(clients, RATE, tally, stop)
