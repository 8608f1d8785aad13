"""The live view counts over all processes of a gateway, and loses no count with a process."""

from dataclasses import replace

from torchserve_gateway.gateway.live.counters import Counters
from torchserve_gateway.gateway.live.shared_counters import SharedCounterReader
from torchserve_gateway.gateway.processes.siblings import Shared

COUNTED = Counters((1.0, 2.0), {"InputError": 1}, (8.0, 2.0), {"genre 1.0": 5}, 3)


class Own:
    """Counters of a process that the test sets."""

    def __init__(self, counters: Counters = COUNTED) -> None:
        self.counters = counters

    def read(self) -> Counters:
        return self.counters


def reader(shared: Shared, process: int, own: Own) -> SharedCounterReader:
    return SharedCounterReader(own, shared.live, process, shared.processes)


def test_every_process_reads_the_sum() -> None:
    shared = Shared(2)
    first, second = reader(shared, 0, Own()), reader(shared, 1, Own())
    assert first.read() == COUNTED
    both = Counters((2.0, 4.0), {"InputError": 2}, (16.0, 4.0), {"genre 1.0": 10}, 6)
    assert second.read() == both
    assert first.read() == both


def test_a_process_that_replaces_another_goes_on_with_its_counts() -> None:
    shared = Shared(2)
    other = reader(shared, 1, Own())
    reader(shared, 0, Own()).read()
    empty = Counters((0.0, 0.0), {}, (0.0, 0.0), {}, 0)
    replaced = Own(empty)
    new = reader(shared, 0, replaced)
    assert new.read() == COUNTED
    replaced.counters = replace(empty, cached=4)
    assert new.read().cached == 7
    assert other.read().cached == 10


def test_metrics_and_live_counters_do_not_mix() -> None:
    shared = Shared(1)
    reader(shared, 0, Own()).read()
    assert shared.metrics.of(0) == b""
