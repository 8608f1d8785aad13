"""The gateway's counters at one moment, and quantiles of what was counted between two moments."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from torchserve_gateway.gateway.deployed.routing import UNNAMED, Routing
from torchserve_gateway.gateway.prediction.stages import CacheCounts
from torchserve_gateway.gateway.telemetry.metrics import DURATIONS_S, Metrics

DURATIONS = "gateway_request_duration_seconds_bucket"
ERRORS = "gateway_errors_total"
BATCH_SUM, BATCH_COUNT = "gateway_batch_size_sum", "gateway_batch_size_count"
# Explanations take seconds and would hide the latency of predictions.
EXPLANATIONS = "/explanations/"
# Requests for models that are not on record.
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Counters:
    """Totals since the gateway's start."""

    durations: tuple[float, ...]
    """Predicting requests up to each bound of DURATIONS_S, and all of them."""
    errors: Mapping[str, float]
    """Failed requests by kind."""
    batch_sizes: tuple[float, float]
    """Sum and number of observed batch sizes."""
    images: Mapping[str, int]
    """Images that TorchServe answered, by model and version."""
    cached: int
    """Images that the response cache answered."""

    def durations_since(self, older: "Counters") -> list[float]:
        """Requests by bucket of DURATIONS_S, the last without a bound."""
        grown = [now - then for now, then in zip(self.durations, older.durations, strict=True)]
        return [grown[0], *(above - below for below, above in pairwise(grown))]

    def errors_since(self, older: "Counters") -> dict[str, int]:
        """Failed requests by kind; kinds without any are left out."""
        grown = {kind: int(count - older.errors.get(kind, 0)) for kind, count in self.errors.items()}
        return {kind: count for kind, count in grown.items() if count}

    def batch_size_since(self, older: "Counters") -> float | None:
        """Mean batch size that an image ran in; None without any."""
        total, count = (now - then for now, then in zip(self.batch_sizes, older.batch_sizes, strict=True))
        return total / count if count else None


class CounterReader:
    """Reads the counters that requests write anyway; requests pay nothing for it."""

    def __init__(self, metrics: Metrics, routing: Routing, cache: CacheCounts) -> None:
        self._families = metrics.registry.restricted_registry([DURATIONS, ERRORS, BATCH_SUM, BATCH_COUNT])
        self._routing = routing
        self._cache = cache

    def read(self) -> Counters:
        """The counters now."""
        durations: Counter[float] = Counter()
        errors: Counter[str] = Counter()
        batches: Counter[str] = Counter()
        for family in self._families.collect():
            for name, labels, value, *_ in family.samples:
                if name == ERRORS:
                    errors[labels["error"]] += value  # type: ignore[assignment] # prometheus_client's floats
                elif name != DURATIONS:
                    batches[name] += value  # type: ignore[assignment]
                elif labels["model"] and not labels["route"].startswith(EXPLANATIONS):
                    durations[float(labels["le"])] += value  # type: ignore[assignment]
        return Counters(
            tuple(durations[bound] for bound in (*DURATIONS_S, float("inf"))),
            errors,
            (batches[BATCH_SUM], batches[BATCH_COUNT]),
            self._images(),
            sum(results["hit"] + results["shared"] for results in self._cache.by_model.values()),
        )

    def _images(self) -> dict[str, int]:
        return {
            f"{model} {version}" if model != UNNAMED else OTHERS: counts.answered
            for model, versions in self._routing.counts.items()
            for version, counts in versions.items()
        }


def quantile_s(counts: Sequence[float], quantile: float) -> float | None:
    """Estimates a quantile in seconds, as Prometheus' histogram_quantile does; None without any request.

    Args:
        counts: Requests by bucket of DURATIONS_S.
        quantile: 0 to 1.
    """
    sums = [0.0, *accumulate(counts)]
    wanted = quantile * sums[-1]
    bounds = (0.0, *DURATIONS_S)
    for index, (below, upto) in enumerate(pairwise(sums)):
        if upto >= wanted and upto > below:
            if index == len(DURATIONS_S):
                return DURATIONS_S[-1]
            share = (wanted - below) / (upto - below)
            return bounds[index] + share * (bounds[index + 1] - bounds[index])
    return None
