"""Counts of answers and errors, and the lines that report them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Tally:
    """Answers since the start."""

    latencies_s: list[float] = field(default_factory=list)
    """Seconds from a request's due time to its complete, right answer."""
    errors: Counter[str] = field(default_factory=Counter)
    """Failed requests by kind."""
    unverified: int = 0
    """Right answers without a reference: their version was gone."""
    versions: Counter[str] = field(default_factory=Counter)
    """Right answers by version."""

    @property
    def answered(self) -> int:
        """Number of right answers."""
        return len(self.latencies_s)


def latency_line(latencies_s: Sequence[float]) -> str:
    """`Latency: p50 41 ms, p95 60 ms, p99 72 ms`."""
    p50, p95, p99 = np.percentile(latencies_s, [50, 95, 99]) * 1000
    return f"Latency: p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms"


def performance_line(rates: Sequence[float]) -> str:
    """`Mean performance: 61.73 imgs/s with std: 2.32`, over the rounds."""
    return f"Mean performance: {np.mean(rates):.2f} imgs/s with std: {np.std(rates):.2f}"
