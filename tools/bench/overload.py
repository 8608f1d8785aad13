"""`make bench`: goodput under more load than the service can answer.

The same TorchServe behind two gateways, with admission and without, at an open-loop rate. The model takes a
fixed time per batch and uses no processor, so that clients and gateways on the same machine do not slow it.
"""

import asyncio
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import perf_counter

import httpx
import numpy as np

from tools.throwaway_stack import StackCommandError, ThrowawayStack, throwaway_stack
from torchserve_gateway.local_stack.free_ports import free_ports
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.torchserve_api.http_pool import PooledTransport

LOADS = (0.8, 1.5, 3.0, 10.0)
POINT_S = 15.0
CAPACITY_CLIENTS = 32
CAPACITY_S = 8.0
START_S = 30.0
# Shorter than the defaults, so that the curve without admission settles within POINT_S.
DEADLINE_S = 4
OVERRIDES = (f"gateway.deadline_s={DEADLINE_S}", "gateway.admission.max_wait_s=1")
WITHOUT_ADMISSION = (
    "gateway.admission.max_in_flight=1000000",
    "gateway.admission.max_waiting=1000000",
    "gateway.admission.max_wait_s=1000000",
)


@dataclass
class Outcomes:
    """Latencies of requests by outcome."""

    by_status: dict[int, list[float]] = field(default_factory=dict)
    """Seconds from due time to end, by status; status 0 for a request without an answer."""

    def add(self, status: int, seconds: float) -> None:
        """Counts one request."""
        self.by_status.setdefault(status, []).append(seconds)

    def row(self, load: float, seconds: float) -> tuple[float, str]:
        """Good answers a second, and the line of the table."""
        good = self.by_status.get(200, [])
        refused = self.by_status.get(503, [])
        others = Counter(
            {str(each): len(self.by_status[each]) for each in self.by_status.keys() - {200, 503}}
        )
        late = ", ".join(f"{count} x {status}" for status, count in sorted(others.items()))
        rate = len(good) / seconds
        return rate, (
            f"{load:6.1f}x {rate:12.1f} {_ms(good, 50):10.0f} {_ms(good, 99):10.0f} "
            f"{len(refused) / seconds:11.1f} {_ms(refused, 50):14.0f}   {late}"
        )


def _ms(seconds: list[float], percentile: int) -> float:
    return float(np.percentile(seconds, percentile)) * 1000 if seconds else float("nan")


async def offer(http: httpx.AsyncClient, url: str, image: bytes, rate: float) -> Outcomes:
    """Measures one point of the curve; requests still open at its end are awaited and counted."""
    outcomes, started, due = Outcomes(), perf_counter(), 0

    async def ask(due_at: float) -> None:
        try:
            status = (await http.post(url, content=image)).status_code
        except httpx.HTTPError:
            status = 0
        outcomes.add(status, perf_counter() - due_at)

    async with asyncio.TaskGroup() as group:
        while (due_at := started + due / rate) < started + POINT_S:
            await asyncio.sleep(max(due_at - perf_counter(), 0))
            group.create_task(ask(due_at))
            due += 1
    return outcomes


async def capacity(http: httpx.AsyncClient, url: str, image: bytes) -> float:
    """Closed-loop answers a second."""
    done, end = 0, perf_counter() + CAPACITY_S

    async def play() -> None:
        nonlocal done
        while perf_counter() < end:
            response = await http.post(url, content=image)
            done += response.status_code == 200

    await asyncio.gather(*(play() for _ in range(CAPACITY_CLIENTS)))
    return done / CAPACITY_S


async def compare(gateways: dict[str, str], image: bytes) -> None:
    """Prints both curves."""
    async with httpx.AsyncClient(timeout=60, transport=PooledTransport()) as http:
        url = next(iter(gateways.values()))
        full = await capacity(http, url, image)
        print(f"capacity: {full:.1f} imgs/s, deadline {DEADLINE_S} s")
        for name, url in gateways.items():
            print(f"{name}\n   load  answered/s     p50 ms     p99 ms   refused/s  p50 refusal ms")
            rates = []
            for load in LOADS:
                rate, line = (await offer(http, url, image, load * full)).row(load, POINT_S)
                rates.append(rate)
                print(line, flush=True)
                # TorchServe still works off requests whose clients gave up.
                await asyncio.sleep(DEADLINE_S)
            print(f"goodput at {LOADS[-2]:g}x and {LOADS[-1]:g}x of the peak: ", end="")
            print(", ".join(f"{rate / max(rates):.0%}" for rate in rates[-2:]), flush=True)


def second_gateway(stack: ThrowawayStack, cleanup: ExitStack) -> str:
    """Starts a gateway without admission in front of the same TorchServe and returns its URL."""
    [port] = free_ports(1)
    shared = [each for each in stack.overrides if not each.startswith("gateway.port")]
    process = subprocess.Popen(
        [sys.executable, "app.py", *shared, f"gateway.port={port}", *WITHOUT_ADMISSION],
        cwd=PROJECT_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    cleanup.callback(process.wait)
    cleanup.callback(process.terminate)
    url, give_up = f"http://127.0.0.1:{port}", perf_counter() + START_S
    while perf_counter() < give_up:
        try:
            httpx.get(f"{url}/health/live")
        except httpx.HTTPError:
            continue
        return url
    raise RuntimeError("the second gateway does not start")


def slow_handler() -> tuple[str, str]:
    """Overrides that pack slow_handler.py in place of the real handler."""
    model = load("gateway", ProjectSettings).model
    modules = [module.relative_to(PROJECT_ROOT) for module in (*model.handler_modules, model.handler)]
    return (
        "model.handler=tools/bench/slow_handler.py",
        f"model.handler_modules=[{','.join(map(str, modules))}]",
    )


def main() -> None:
    """Measures a stack of its own."""
    with throwaway_stack(*OVERRIDES) as stack, ExitStack() as cleanup:
        stack.deploy("1.0", *slow_handler())
        image = stack.settings.model.samples[0].file.read_bytes()
        gateways = {
            "with admission": f"{stack.settings.gateway.url}/predictions/genre",
            "without admission": f"{second_gateway(stack, cleanup)}/predictions/genre",
        }
        asyncio.run(compare(gateways, image))


if __name__ == "__main__":
    try:
        main()
    except StackCommandError as exc:
        sys.exit(str(exc))
