"""Durations of the stages of a batch, as metrics and as a header. Part of the model archive."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from ts.metrics.metric_type_enum import MetricTypes

# A metric is a line that the worker prints and TorchServe parses; a scrape sees the last value alone.
REPORT_INTERVAL_S = 1.0


class StageTimes:
    """Measures the stages of one batch after the other.

    interval_s: seconds between the batches of which TorchServe gets the metrics, at least.
    """

    def __init__(self, interval_s: float = REPORT_INTERVAL_S) -> None:
        self._durations_ms: dict[str, float] = {}
        self._metrics: Any = None
        self._interval_s, self._reported = interval_s, -math.inf

    def begin(self, metrics: Any) -> None:
        """Forgets the batch before; metrics: TorchServe's, of this batch."""
        self._durations_ms.clear()
        now, self._metrics = perf_counter(), None
        if now - self._reported >= self._interval_s:
            self._metrics, self._reported = metrics, now

    @contextmanager
    def measured(self, stage: str) -> Iterator[None]:
        """Reports the duration of a stage as metric `<Stage>Time`, and in `header`."""
        start = perf_counter()
        yield
        duration_ms = round((perf_counter() - start) * 1000, 3)
        self._durations_ms[stage] = duration_ms
        self.report(f"{stage.capitalize()}Time", duration_ms, "ms")

    def report(self, name: str, value: float, unit: str) -> None:
        """Reports a value of this batch to TorchServe, unless the interval has not passed."""
        if self._metrics is not None:
            self._metrics.add_metric(name, value, unit, metric_type=MetricTypes.GAUGE)

    def header(self) -> str:
        """Value of `Server-Timing`; empty if no stage ran, as for a description."""
        return ", ".join(f"{stage};dur={duration}" for stage, duration in self._durations_ms.items())
