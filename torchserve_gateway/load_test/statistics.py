"""Counts what the clients saw."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Tally:
    """Answers since the start.

    latencies_s: seconds from sending a request to its complete, right answer; unverified: those among them
    that could not be compared, since their version was gone.
    """

    latencies_s: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    unverified: int = 0
    versions: Counter[str] = field(default_factory=Counter)

    @property
    def answered(self) -> int:
        """Right answers."""
        return len(self.latencies_s)


def latency_line(latencies_s: Sequence[float]) -> str:
    """`Latency: p50 41 ms, p95 60 ms, p99 72 ms`."""
    p50, p95, p99 = np.percentile(latencies_s, [50, 95, 99]) * 1000
    return f"Latency: p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms"


def performance_line(rates: Sequence[float]) -> str:
    """`Mean performance: 61.73 imgs/s with std: 2.32`, over the rounds."""
    return f"Mean performance: {np.mean(rates):.2f} imgs/s with std: {np.std(rates):.2f}"
