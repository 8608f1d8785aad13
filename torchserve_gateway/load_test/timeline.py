"""Rate, errors and latencies of every second."""

import asyncio
import contextlib
from time import perf_counter

from torchserve_gateway.load_test.report import Sample, percentiles_ms
from torchserve_gateway.load_test.statistics import Latencies, Tally

INTERVAL_S = 1.0
# The last interval may be so short that its rate says nothing.
SHORTEST_S = 0.1


async def sample_until(timeline: list[Sample], tally: Tally, stop: asyncio.Event) -> None:
    """Appends a sample each second until `stop`."""
    start = before = perf_counter()
    failed = tally.errors.total()
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), INTERVAL_S)
        now, interval = perf_counter(), tally.interval
        length_s = now - before
        if timeline and length_s < SHORTEST_S:
            return
        tally.interval = Latencies()
        errors = tally.errors.total()
        timeline.append(
            Sample(
                at_s=now - start,
                rate=interval.count / length_s,
                errors_per_s=(errors - failed) / length_s,
                latency_ms=percentiles_ms(interval),
            )
        )
        before, failed = now, errors
