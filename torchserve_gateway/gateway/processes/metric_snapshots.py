"""Each process's newest metrics, for whichever process is scraped, and kept when a process is killed."""

import asyncio
import os
from collections.abc import Callable
from time import monotonic

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from torchserve_gateway.gateway.processes.metric_sums import decoded, encoded, growing, summed
from torchserve_gateway.gateway.processes.shared_memory import Inboxes, Mutex, integers

PUBLISH = b"m"
"""Message to a process that shall publish its metrics."""
# Seconds that a scrape waits for another process; then its last metrics count.
WAIT_S = 0.5
POLL_INTERVAL_S = 0.005


class MetricSnapshots:
    """Two files without a name for each process: the newest, and the next.

    A process that is killed while it writes leaves the newest whole.
    """

    def __init__(
        self, processes: int, mutex: Mutex, inboxes: Inboxes, has_started: Callable[[int], bool]
    ) -> None:
        self._mutex, self._inboxes, self._has_started = mutex, inboxes, has_started
        self._files = [(os.memfd_create("metrics"), os.memfd_create("metrics")) for _ in range(processes)]
        self._newest = integers(processes)
        self._asked = integers(1)
        self._answered = integers(processes)

    def publish(self, process: int, metrics: bytes) -> None:
        """Replaces the process's metrics."""
        with self._mutex:
            following = 1 - self._newest[process]
            file = self._files[process][following]
            os.ftruncate(file, 0)
            os.pwrite(file, metrics, 0)
            self._newest[process] = following
            self._answered[process] = self._asked[0]

    def of(self, process: int) -> bytes:
        """The process's newest metrics; empty if it has published none."""
        with self._mutex:
            file = self._files[process][self._newest[process]]
            return os.pread(file, os.fstat(file).st_size, 0)

    async def of_others(self, process: int) -> list[tuple[bytes, bool]]:
        """The metrics of all other processes, as of now where they answer in time, and whether each runs."""
        others = [each for each in range(len(self._files)) if each != process]
        with self._mutex:
            self._asked[0] += 1
            asked = self._asked[0]
        for each in others:
            self._inboxes.send(each, PUBLISH)
        give_up = monotonic() + WAIT_S
        while any(self._has_started(each) and self._answered[each] < asked for each in others):
            if monotonic() > give_up:
                break
            # No event of asyncio spans processes.
            await asyncio.sleep(POLL_INTERVAL_S)
        return [(self.of(each), self._has_started(each)) for each in others]


class SharedMetrics:
    """The metrics of one process, added to those of the other processes.

    Counts go on where the last process with the same number ended.
    """

    def __init__(self, snapshots: MetricSnapshots, process: int, registry: CollectorRegistry) -> None:
        self._snapshots, self._process, self._registry = snapshots, process, registry
        self._before = growing(decoded(snapshots.of(process)))

    def publish(self) -> list[Metric]:
        """Publishes this process's metrics and returns them."""
        own = summed(self._registry.collect(), self._before)
        self._snapshots.publish(self._process, encoded(own))
        return own

    async def collect(self) -> list[Metric]:
        """The metrics of all processes together."""
        others = await self._snapshots.of_others(self._process)
        # A count that was seen must not be lost with this process.
        own = self.publish()
        # In a thread: the event loop has requests to serve.
        return await asyncio.to_thread(_of_all, own, others)


def _of_all(own: list[Metric], others: list[tuple[bytes, bool]]) -> list[Metric]:
    found = [(decoded(published), runs) for published, runs in others]
    return summed(own, (each for metrics, runs in found for each in (metrics if runs else growing(metrics))))
