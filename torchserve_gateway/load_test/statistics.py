"""Counts of answers and errors, and the lines that report them."""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hdrh.histogram import HdrHistogram

LONGEST_S = 3600
DIGITS = 3
PER_S = 1_000_000


class Latencies:
    """A histogram of constant size: percentiles are within 0.1 % of the recorded values."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, LONGEST_S * PER_S, DIGITS)

    def add(self, latency_s: float) -> None:
        """Counts one; longer than an hour counts as an hour."""
        self._histogram.record_value(min(max(round(latency_s * PER_S), 1), LONGEST_S * PER_S))

    @property
    def count(self) -> int:
        """Number of latencies."""
        return int(self._histogram.get_total_count())

    def add_all(self, other: "Latencies") -> None:
        """Counts those of another."""
        self._histogram.decode_and_add(other.encoded())

    def percentile_ms(self, percentile: float) -> float:
        """Milliseconds; NaN without a latency."""
        if not self.count:
            return math.nan
        return float(self._histogram.get_value_at_percentile(percentile)) * 1000 / PER_S

    def longer_than(self, seconds: float) -> int:
        """Number of latencies above."""
        recorded = self._histogram.get_recorded_iterator()
        return sum(
            int(each.count_at_value_iterated_to)
            for each in recorded
            if each.value_iterated_to > seconds * PER_S
        )

    def encoded(self) -> str:
        """HdrHistogram's own compressed form in base64, which its other tools read."""
        return str(self._histogram.encode().decode())

    def __getstate__(self) -> str:
        """For another process: the histogram itself is not made for pickling."""
        return self.encoded()

    def __setstate__(self, encoded: str) -> None:
        """Reads what `__getstate__` gave."""
        self._histogram = HdrHistogram.decode(encoded)


@dataclass
class Tally:
    """Answers since the start."""

    latencies: Latencies = field(default_factory=Latencies)
    """From a request's due time to its complete, right answer."""
    interval: Latencies = field(default_factory=Latencies)
    """The same since the last sample of the timeline."""
    errors: Counter[str] = field(default_factory=Counter)
    """Failed requests by kind."""
    unverified: int = 0
    """Right answers without a reference: their version was gone."""
    versions: Counter[str] = field(default_factory=Counter)
    """Right answers by version."""

    def add(self, latency_s: float, version: str) -> None:
        """Counts a right answer."""
        self.latencies.add(latency_s)
        self.interval.add(latency_s)
        self.versions[version] += 1

    @property
    def answered(self) -> int:
        """Number of right answers."""
        return self.latencies.count


def latency_line(latencies: Latencies) -> str:
    """`Latency: p50 41 ms, p95 60 ms, p99 72 ms`."""
    p50, p95, p99 = (latencies.percentile_ms(each) for each in (50, 95, 99))
    return f"Latency: p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms"


def performance_line(rates: Sequence[float]) -> str:
    """`Mean performance: 61.73 imgs/s with std: 2.32`, over the rounds."""
    return f"Mean performance: {statistics.mean(rates):.2f} imgs/s with std: {statistics.pstdev(rates):.2f}"
