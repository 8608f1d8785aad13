"""Measures the real stack on this machine: service times for the simulation, latencies to compare with.

One TorchServe with one worker, so that gateway, TorchServe and clients have the other cores.
"""

import asyncio
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import aiohttp
import numpy as np

from tools.sizing.simulation import Floats, ServiceTimes
from tools.throwaway_stack import ThrowawayStack
from torchserve_gateway.settings.model import ModelSettings

PARTS = ("gateway", "torchserve", "worker")
CLIENTS = 32
SATURATED_S = 15.0
CALIBRATION_S = 15.0
LONE_REQUESTS = 60
HANDLER_STAGES = ("preprocess", "inference", "postprocess")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Saturated:
    """A worker whose batches are always full."""

    rate: float
    """Images a second."""
    cpu_s: dict[str, float]
    """CPU seconds per image, by part."""
    handler_s: Floats
    """Seconds in the handler, per request."""


class Measurement:
    """Sends one image to a running stack; the caller closes `http`."""

    def __init__(self, stack: ThrowawayStack, http: aiohttp.ClientSession, model: ModelSettings) -> None:
        self._http, self._model = http, model
        self._image = model.samples[0].file.read_bytes()
        path = f"/predictions/{model.name}"
        self._url = f"{stack.settings.gateway.url}{path}"
        self._log = stack.settings.log_dir / "gateway.log"
        self._pids = {part: stack.pid(part) for part in PARTS}

    async def service_times(self, saturated: Saturated, load: float) -> ServiceTimes:
        """Fits service times to full batches, smaller batches and lone requests.

        load: share of the saturated rate at which batches of all sizes occur.
        """
        sizes, handler_s = await self._batches(load * saturated.rate)
        slope, base = np.polyfit(sizes, handler_s, 1)
        full = self._model.batch_size
        # TorchServe's own work between two batches.
        around_s = max(full / saturated.rate - saturated.handler_s.mean(), 0)
        batch_s = tuple(float(base + slope * size + around_s) for size in range(1, full + 1))
        lone_s = np.median([await self._ask() for _ in range(LONE_REQUESTS)])
        gateway_s = saturated.cpu_s["gateway"]
        known_s = gateway_s + self._model.max_batch_delay / 1000 + batch_s[0]
        spread = handler_s / (base + slope * sizes)
        return ServiceTimes(gateway_s, batch_s, tuple(spread), max(float(lone_s) - known_s, 0))

    async def saturated(self) -> Saturated:
        """Measures closed-loop clients."""
        handler_s: list[float] = []
        end = perf_counter() + SATURATED_S

        async def play() -> None:
            while perf_counter() < end:
                async with self._http.post(self._url, data=self._image) as response:
                    if response.status == 200:
                        handler_s.append(_handler_s(response))

        before, started = self._cpu_s(), perf_counter()
        await asyncio.gather(*(play() for _ in range(CLIENTS)))
        seconds, count = perf_counter() - started, len(handler_s)
        after = self._cpu_s()
        cpu_s = {part: (after[part] - before[part]) / count for part in PARTS}
        return Saturated(count / seconds, cpu_s, np.array(handler_s))

    async def latencies(self, rate: float, seconds: float) -> Floats:
        """Latencies in seconds of Poisson arrivals at this rate, from when each request was due.

        Raises:
            RuntimeError: a request was not answered.
        """
        due_at = np.cumsum(np.random.default_rng(0).exponential(1 / rate, int(rate * seconds)))
        started = perf_counter()

        async def ask(due: float) -> float:
            await asyncio.sleep(started + due - perf_counter())
            await self._ask()
            return perf_counter() - started - due

        return np.array(await asyncio.gather(*(ask(due) for due in due_at)))

    async def _ask(self) -> float:
        started = perf_counter()
        async with self._http.post(self._url, data=self._image) as response:
            if response.status != 200:
                raise RuntimeError(f"{self._url} answered {response.status}: {await response.text()}")
        return perf_counter() - started

    async def _batches(self, rate: float) -> tuple[Floats, Floats]:
        """Batch size and seconds in the handler, for each request of the gateway's log."""
        before = self._log.stat().st_size
        await self.latencies(rate, CALIBRATION_S)
        with self._log.open() as log:
            log.seek(before)
            lines = [json.loads(line) for line in log]
        requests = [line for line in lines if line.get("batch_size")]
        sizes = np.array([line["batch_size"] for line in requests], dtype=np.float64)
        handler_ms = [sum(line[f"{stage}_ms"] for stage in HANDLER_STAGES) for line in requests]
        return sizes, np.array(handler_ms) / 1000

    def _cpu_s(self) -> dict[str, float]:
        return {part: _cpu_s(pid) for part, pid in self._pids.items()}


def _handler_s(response: aiohttp.ClientResponse) -> float:
    stages = dict(re.findall(r"(\w+);dur=([\d.]+)", response.headers["Server-Timing"]))
    return sum(float(stages[stage]) for stage in HANDLER_STAGES) / 1000


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) * TICK_S


def percentiles_ms(latencies_s: Floats, of: Sequence[int] = (50, 95, 99)) -> Floats:
    """Percentiles in milliseconds."""
    return np.asarray(np.percentile(latencies_s, of)) * 1000
