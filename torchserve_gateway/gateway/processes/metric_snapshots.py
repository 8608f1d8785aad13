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

    async def of_others(self, process: int) -> list[Metric]:
        """The metrics of all other processes, as of now where they answer in time."""
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
        return [metric for each in others for metric in self._last_of(each)]

    def _last_of(self, process: int) -> list[Metric]:
        metrics = decoded(self.of(process))
        return metrics if self._has_started(process) else growing(metrics)


class SharedMetrics:
    """The metrics of one process, added to those of the other processes.

    Counts go on where the last process with the same number ended.
    """

    def __init__(self, snapshots: MetricSnapshots, process: int, registry: CollectorRegistry) -> None:
        self._snapshots, self._process, self._registry = snapshots, process, registry
        self._before = growing(decoded(snapshots.of(process)))

    def publish(self) -> None:
        """Publishes this process's metrics."""
        self._snapshots.publish(self._process, encoded(self._own()))

    async def collect(self) -> list[Metric]:
        """The metrics of all processes together."""
        others = await self._snapshots.of_others(self._process)
        # A count that was seen must not be lost with this process.
        self.publish()
        return summed(self._own(), others)

    def _own(self) -> list[Metric]:
        return summed(self._registry.collect(), self._before)
