"""Requests that keep coming while something else happens, each answer checked."""

import asyncio
import contextlib
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from tests.processes import until
from torchserve_gateway.load_test.clients import Client
from torchserve_gateway.load_test.images import client_images
from torchserve_gateway.load_test.sender import Sender
from torchserve_gateway.load_test.statistics import Tally
from torchserve_gateway.settings.composition import PROJECT_ROOT

# Requests a second, as long as each is answered within CLIENTS / RATE seconds; a slower machine gets fewer,
# so that busy cores let no queue grow.
RATE = 10
CLIENTS = 8
# Seconds after which a request hangs: more than the gateway's deadline_s.
HANGS_S = 30
# Requests that were answered before something happens to those that follow.
FLOWING = 10
# Answers in a row after which the service counts as recovered.
UNDISTURBED = 30


@contextlib.contextmanager
def steady_load(gateway_url: str, allowed: Collection[str] = (), rate: float = RATE) -> Iterator[Tally]:
    """Sends in the background. At the end every request has ended: answered right, or with one of `allowed`.

    allowed: errors as the tally names them, for example `HTTP 503`; rate: the most requests a second.
    """
    tally, stop, loop = Tally(), asyncio.Event(), asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(loop.run_until_complete, _send(gateway_url, tally, stop, CLIENTS / rate))
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


async def _send(gateway_url: str, tally: Tally, stop: asyncio.Event, interval_s: float) -> None:
    async with Sender(gateway_url, HANGS_S) as sender:
        images = client_images(PROJECT_ROOT / "imgs", CLIENTS)
        clients = [Client(sender, "/predictions/genre", image, tolerance=1e-4) for image in images]
        await asyncio.gather(*(client.learn() for client in clients))
        async with asyncio.TaskGroup() as group:
            for index, client in enumerate(clients):
                group.create_task(
                    _keep_sending(client, tally, stop, interval_s, index * interval_s / CLIENTS)
                )


async def _keep_sending(
    client: Client, tally: Tally, stop: asyncio.Event, interval_s: float, first_after_s: float
) -> None:
    """One request every interval, or when the last one has its answer if that takes longer."""
    due_at = perf_counter() + first_after_s
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), max(due_at - perf_counter(), 0))
            return
        sent_at = perf_counter()
        await client.send(tally, sent_at)
        due_at = max(sent_at + interval_s, perf_counter())
