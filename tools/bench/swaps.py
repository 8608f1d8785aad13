"""`make bench`: requests lost in a naive swap (unregister all, then register) and in a swap by upload_model.

Both swap the same model on the same TorchServe behind the same gateway, under the same load at a fixed rate,
alternating.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter

import httpx

from tools.throwaway_stack import StackCommandError, ThrowawayStack, throwaway_stack
from torchserve_gateway.load_test.clients import Client
from torchserve_gateway.load_test.images import client_images
from torchserve_gateway.load_test.open_loop import send_at
from torchserve_gateway.load_test.profiles import constant
from torchserve_gateway.load_test.sender import Sender
from torchserve_gateway.load_test.statistics import Tally
from torchserve_gateway.settings.composition import PROJECT_ROOT

CLIENTS = 64
SLOW_RATE = 20.0
# Share of the closed-loop capacity.
NEAR_CAPACITY = 0.7
CAPACITY_S = 5.0
BEFORE_S = 8.0
AFTER_S = 3.0
# A client that waits longer counts as an outage.
OUTAGE_AFTER_S = 1.0
REQUEST_TIMEOUT_S = 30.0
TOLERANCE = 1e-4
HEADING = "  req/s  swap             requests   failed  outage s  p99 before  p99 during   took s"


@dataclass
class Bench:
    """The stack and its clients; naive and upload_model each swap a model name of their own."""

    stack: ThrowawayStack
    http: httpx.AsyncClient
    sender: Sender
    images: list[bytes]
    """Encoded images, one per client."""
    version: int = 1
    """Major version of the latest deploy."""

    async def clients(self, model: str) -> list[Client]:
        """Clients that have learned the expected answers."""
        found = [Client(self.sender, f"/predictions/{model}", image, TOLERANCE) for image in self.images]
        for client in found:
            await client.learn()
        return found

    async def naive(self, version: str) -> None:
        """Unregisters all versions, then registers the new version, as tutorials do."""
        url = f"{self.stack.settings.torchserve.management_url}/models"
        for old in self.stack.versions("naive"):
            (await self.http.delete(f"{url}/naive/{old}")).raise_for_status()
        params: dict[str, str | int] = {
            "url": f"naive-{version}.mar",
            "initial_workers": len(os.sched_getaffinity(0)),
            "batch_size": self.stack.settings.model.batch_size,
            "max_batch_delay": self.stack.settings.model.max_batch_delay,
        }
        (await self.http.post(url, params=params, timeout=120)).raise_for_status()

    async def ours(self, version: str) -> None:
        """Swaps with `make upload_model`."""
        await asyncio.to_thread(self.stack.upload_model, version)


async def swap_under_load(
    bench: Bench, name: str, model: str, rate: float, swap: Callable[[str], Awaitable[None]]
) -> None:
    """Swaps once and prints a row of the table."""
    bench.version += 1
    version = f"{bench.version}.0"
    build(bench.stack, version)
    clients = await bench.clients(model)
    before, during = Tally(), Tally()
    await _load(clients, rate, before, asyncio.sleep(BEFORE_S))
    took_s = 0.0

    async def swapped() -> None:
        nonlocal took_s
        started = perf_counter()
        await swap(version)
        took_s = perf_counter() - started
        await asyncio.sleep(AFTER_S)

    await _load(clients, rate, during, swapped())
    print(row(rate, name, before, during, took_s), flush=True)


def row(rate: float, name: str, before: Tally, during: Tally, took_s: float) -> str:
    """A row of the table."""
    failed = during.errors.total()
    outage_s = (failed + during.latencies.longer_than(OUTAGE_AFTER_S)) / rate
    return (
        f"{rate:7.0f}  {name:<16} {during.answered + failed:8d} {failed:8d} {outage_s:9.1f} "
        f"{_p99_ms(before):11.0f} {_p99_ms(during):11.0f} {took_s:8.1f}  "
        f"{', '.join(f'{count} x {kind}' for kind, count in during.errors.most_common())}"
    )


async def _load(clients: list[Client], rate: float, tally: Tally, until: Awaitable[None]) -> None:
    stop = asyncio.Event()
    sending = asyncio.create_task(send_at(clients, constant(rate), tally, stop))
    await until
    stop.set()
    await sending


def _p99_ms(tally: Tally) -> float:
    return tally.latencies.percentile_ms(99) if tally.answered else float("nan")


async def capacity(bench: Bench) -> float:
    """Closed-loop good answers a second."""
    tally, stop = Tally(), asyncio.Event()
    running = [asyncio.create_task(each.run(tally, stop)) for each in await bench.clients("genre")]
    await asyncio.sleep(CAPACITY_S)
    stop.set()
    await asyncio.gather(*running)
    return tally.answered / CAPACITY_S


def build(stack: ThrowawayStack, version: str) -> None:
    """Builds the version under both model names, and puts the naive archive into the model store."""
    stack.generate_mar(version)
    archive = stack.generate_mar(version, "model.name=naive")
    (stack.directory / "model_store" / archive.name).write_bytes(archive.read_bytes())


async def compare(stack: ThrowawayStack) -> None:
    """Prints the table."""
    images = client_images(PROJECT_ROOT / "imgs", CLIENTS)
    async with (
        httpx.AsyncClient(timeout=REQUEST_TIMEOUT_S) as http,
        Sender(stack.settings.gateway.url, REQUEST_TIMEOUT_S) as sender,
    ):
        bench = Bench(stack, http, sender, images)
        for rate in (SLOW_RATE, NEAR_CAPACITY * await capacity(bench)):
            for name, model, swap in (
                ("naive", "naive", bench.naive),
                ("upload_model", "genre", bench.ours),
            ):
                await swap_under_load(bench, name, model, rate, swap)


def main() -> None:
    """Measures a stack of its own."""
    with throwaway_stack() as stack:
        stack.deploy("1.0")
        build(stack, "1.0")
        params: dict[str, str | int] = {
            "url": "naive-1.0.mar",
            "initial_workers": len(os.sched_getaffinity(0)),
            "batch_size": 8,
        }
        url = f"{stack.settings.torchserve.management_url}/models"
        httpx.post(url, params=params, timeout=120).raise_for_status()
        print(HEADING)
        asyncio.run(compare(stack))


if __name__ == "__main__":
    try:
        main()
    except StackCommandError as exc:
        sys.exit(str(exc))
