"""Histograms for the hot path: an observation takes no lock."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import inf
from time import time

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class _Series:
    """Observations with the same labels."""

    __slots__ = ("counts", "created", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.created = time()
        self.total = 0.0


class LabelledHistogram(Collector):
    """A histogram of one thread's observations.

    prometheus_client's own takes two locks an observation and searches its buckets in Python, and a request
    has an observation for each of its stages.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._documentation, self._labels = name, documentation, tuple(labels)
        self._bounds = tuple(buckets)
        self._series: dict[tuple[str, ...], _Series] = {}
        registry.register(self)

    def observe(self, labels: tuple[str, ...], amount: float) -> None:
        """Counts an amount in the series with these values of the labels."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = _Series(len(self._bounds) + 1)
        series.counts[bisect_left(self._bounds, amount)] += 1
        series.total += amount

    def describe(self) -> Iterable[Metric]:
        """The family without series; the registry takes its names from it."""
        return (self._family(),)

    def collect(self) -> Iterable[Metric]:
        """The series, with the samples of prometheus_client's histogram."""
        family = self._family()
        bounds = [str(floatToGoString(each)) for each in (*self._bounds, inf)]  # type: ignore[no-untyped-call]
        for labels, series in tuple(self._series.items()):
            counts = accumulate(map(float, series.counts))
            family.add_metric(labels, list(zip(bounds, counts, strict=True)), series.total)
            named = dict(zip(self._labels, labels, strict=True))
            family.add_sample(f"{self._name}_created", named, series.created)
        return (family,)

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
