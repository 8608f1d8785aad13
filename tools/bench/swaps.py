"""`make bench`: requests lost in a swap done naively (unregister all, then register) and by upload_model.

Both swap the same model on the same TorchServe behind the same gateway, under the same load at a fixed rate,
one after the other, in pairs.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import httpx
import numpy as np

from tests.running_stack import RunningStack
from torchserve_gateway.load_test.clients import Client
from torchserve_gateway.load_test.images import client_images
from torchserve_gateway.load_test.open_loop import send_at_rate
from torchserve_gateway.load_test.statistics import Tally
from torchserve_gateway.settings.composition import PROJECT_ROOT
from torchserve_gateway.torchserve_api.pools import PooledTransport

CLIENTS = 64
SLOW_RATE = 20.0
# Of what the stack answers when clients send as fast as they are answered.
NEAR_CAPACITY = 0.7
CAPACITY_S = 5.0
BEFORE_S = 8.0
AFTER_S = 3.0
# Whoever waits longer takes the service for dead.
OUTAGE_AFTER_S = 1.0
REQUEST_TIMEOUT_S = 30.0
TOLERANCE = 1e-4


@dataclass
class Bench:
    """The stack and its clients. version: of the next deploy, each way has its own model name."""

    stack: RunningStack
    http: httpx.AsyncClient
    images: list[bytes]
    version: int = 1

    async def clients(self, model: str) -> list[Client]:
        """Clients that know their right answers."""
        found = [Client(self.http, f"/predictions/{model}", image, TOLERANCE) for image in self.images]
        for client in found:
            await client.learn()
        return found

    async def naive(self, version: str) -> None:
        """As the tutorials do."""
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
        """`make upload_model`."""
        result = await asyncio.to_thread(self.stack.upload_model, version)
        if result.returncode:
            raise RuntimeError(result.stderr)


async def swap_under_load(
    bench: Bench, name: str, model: str, rate: float, swap: Callable[[str], Awaitable[None]]
) -> None:
    """Prints one row of the table."""
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
    failed = during.errors.total()
    outage_s = (failed + sum(each > OUTAGE_AFTER_S for each in during.latencies_s)) / rate
    print(
        f"{rate:7.0f}  {name:<16} {during.answered + failed:8d} {failed:8d} {outage_s:9.1f} "
        f"{_p99_ms(before):11.0f} {_p99_ms(during):11.0f} {took_s:8.1f}  "
        f"{', '.join(f'{count} x {kind}' for kind, count in during.errors.most_common())}",
        flush=True,
    )


async def _load(clients: list[Client], rate: float, tally: Tally, until: Awaitable[None]) -> None:
    stop = asyncio.Event()
    sending = asyncio.create_task(send_at_rate(clients, rate, tally, stop))
    await until
    stop.set()
    await sending


def _p99_ms(tally: Tally) -> float:
    return float(np.percentile(tally.latencies_s, 99)) * 1000 if tally.answered else float("nan")


async def capacity(bench: Bench) -> float:
    """Right answers a second when all clients send as fast as they are answered."""
    tally, stop = Tally(), asyncio.Event()
    running = [asyncio.create_task(each.run(tally, stop)) for each in await bench.clients("genre")]
    await asyncio.sleep(CAPACITY_S)
    stop.set()
    await asyncio.gather(*running)
    return tally.answered / CAPACITY_S


def build(stack: RunningStack, version: str) -> None:
    """The same version for both ways, one of them put into the model store by hand."""
    for name in ("genre", "naive"):
        result = stack.generate_mar(version, f"model.name={name}")
        if result.returncode:
            raise RuntimeError(result.stderr)
    archive = stack.directory / "model_mars" / f"naive-{version}.mar"
    (stack.directory / "model_store" / archive.name).write_bytes(archive.read_bytes())


async def compare(stack: RunningStack) -> None:
    """Prints the table."""
    images = client_images(PROJECT_ROOT / "imgs", CLIENTS)
    async with httpx.AsyncClient(
        base_url=stack.settings.gateway.url, timeout=REQUEST_TIMEOUT_S, transport=PooledTransport()
    ) as http:
        bench = Bench(stack, http, images)
        for rate in (SLOW_RATE, NEAR_CAPACITY * await capacity(bench)):
            for name, model, swap in (
                ("naive", "naive", bench.naive),
                ("upload_model", "genre", bench.ours),
            ):
                await swap_under_load(bench, name, model, rate, swap)


def main() -> None:
    """Starts a stack of its own, measures, stops it."""
    with tempfile.TemporaryDirectory() as directory:
        stack = RunningStack.configure(Path(directory))
        started = stack.stack("up")
        if started.returncode:
            sys.exit(started.stderr)
        try:
            stack.deploy("1.0")
            build(stack, "1.0")
            params: dict[str, str | int] = {
                "url": "naive-1.0.mar",
                "initial_workers": len(os.sched_getaffinity(0)),
                "batch_size": 8,
            }
            url = f"{stack.settings.torchserve.management_url}/models"
            httpx.post(url, params=params, timeout=120).raise_for_status()
            print("  req/s  swap             requests   failed  outage s  p99 before  p99 during   took s")
            asyncio.run(compare(stack))
        finally:
            stack.stack("down")


if __name__ == "__main__":
    main()
