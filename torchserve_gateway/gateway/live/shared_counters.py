"""The counters of all processes of a gateway, for whichever process a live view is connected to."""

import json
from collections import Counter
from typing import Protocol

from torchserve_gateway.gateway.live.counters import Counters
from torchserve_gateway.gateway.processes.metric_snapshots import MetricSnapshots


class ReadsCounters(Protocol):
    """Reads counters that only grow."""

    def read(self) -> Counters:
        """The counters now."""
        ...


class SharedCounterReader:
    """Publishes this process's counters and adds those of the others, as of their last second.

    Counts go on where the last process with the same number ended.

    Args:
        own: Reads the counters of this process.
        snapshots: Holds the newest counters of each process.
        process: This process's number.
        processes: Number of processes.
    """

    def __init__(self, own: ReadsCounters, snapshots: MetricSnapshots, process: int, processes: int) -> None:
        self._own, self._snapshots, self._process = own, snapshots, process
        self._others = [each for each in range(processes) if each != process]
        self._before = _decoded(snapshots.of(process))

    def read(self) -> Counters:
        """The counters of all processes."""
        own = _summed(self._own.read(), self._before)
        self._snapshots.publish(self._process, _encoded(own))
        for each in self._others:
            own = _summed(own, _decoded(self._snapshots.of(each)))
        return own


def _encoded(counters: Counters) -> bytes:
    fields = (counters.durations, counters.errors, counters.batch_sizes, counters.images, counters.cached)
    return json.dumps(fields).encode()


def _decoded(data: bytes) -> Counters | None:
    """None for a process that has published none."""
    if not data:
        return None
    durations, errors, batch_sizes, images, cached = json.loads(data)
    return Counters(tuple(durations), errors, tuple(batch_sizes), images, cached)


def _summed(one: Counters, other: Counters | None) -> Counters:
    if other is None:
        return one
    return Counters(
        tuple(mine + its for mine, its in zip(one.durations, other.durations, strict=True)),
        Counter(one.errors) + Counter(other.errors),
        (one.batch_sizes[0] + other.batch_sizes[0], one.batch_sizes[1] + other.batch_sizes[1]),
        Counter(one.images) + Counter(other.images),
        one.cached + other.cached,
    )
