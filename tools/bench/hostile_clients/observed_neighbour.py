"""Runs the neighbour and reads its figures."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import sleep

import numpy as np

from tools.bench.hostile_clients.child_process import ChildProcess, child_process
from tools.bench.hostile_clients.wire import Target

POLL_S = 0.02
RATE = 50.0


@dataclass(frozen=True)
class Figures:
    """Figures of the neighbour's requests."""

    latencies_s: Sequence[float]
    """Latency of each request in seconds."""
    outcomes: Counter[str]
    """Statuses or names of errors."""

    @property
    def p50_ms(self) -> float:
        """The median latency."""
        return float(np.percentile(self.latencies_s, 50)) * 1000

    @property
    def p99_ms(self) -> float:
        """The 99th percentile of the latency."""
        return float(np.percentile(self.latencies_s, 99)) * 1000


@dataclass(frozen=True)
class Neighbour:
    """`neighbour.py` while it runs."""

    child: ChildProcess

    async def figures(self, start: float, end: float) -> Figures:
        """Awaits the requests due between these times, by `monotonic`, and returns their figures."""
        while not self.child.lines or float(self.child.lines[-1].split()[0]) < end:
            if self.child.ended:
                raise RuntimeError("the neighbour is gone")
            await asyncio.sleep(POLL_S)
        requests = [line.split() for line in self.child.lines]
        window = [each for each in requests if start <= float(each[0]) < end]
        return Figures([float(each[1]) for each in window], Counter(each[2] for each in window))


@contextlib.contextmanager
def neighbour_of(target: Target, image: Path, rate: float = RATE) -> Iterator[Neighbour]:
    """Starts a neighbour of `rate` predictions a second; the first is answered when this yields."""
    url = f"http://{target.host}:{target.port}/predictions/{target.model}"
    with child_process("tools.bench.hostile_clients.neighbour", url, str(image), str(rate)) as child:
        while not child.lines:
            if child.ended:
                raise RuntimeError("the neighbour does not start")
            sleep(POLL_S)
        yield Neighbour(child)
