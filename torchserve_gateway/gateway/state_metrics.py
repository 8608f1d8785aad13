"""Gauges and counters read at scrape time: versions, shadow copies, admission, cache, limits, log."""

from collections.abc import Callable, Iterator
from functools import partial

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from torchserve_gateway.gateway.access.rate_limits import RateLimits
from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.prediction.admission import Admission
from torchserve_gateway.gateway.prediction.stages import CacheCounts, IsolationCounts
from torchserve_gateway.gateway.state import GatewayState
from torchserve_gateway.gateway.telemetry.metrics import UNKNOWN, Collect

MODEL = ("model", "version")


def collected(gateway: GatewayState, lost_log_lines: Callable[[], int]) -> tuple[Collect, ...]:
    """Everything that a scrape reads."""
    always = (
        partial(deployed, gateway.routing),
        partial(shadowed, gateway.routing),
        partial(admitted, gateway.admission),
        partial(isolated, gateway.isolation_counts),
        partial(unlimited, gateway.rate_limits),
        partial(unlogged, lost_log_lines),
    )
    return (*always, partial(cached, gateway.cache_counts)) if gateway.cache_store else always


def deployed(routing: Routing) -> Iterator[Metric]:
    """Versions on record with their states."""
    versions = InfoMetricFamily("gateway_model_version", "Deployed versions", labels=(*MODEL, "state"))
    for model, on_record in routing.record.models.items():
        for version, state in on_record.states.items():
            versions.add_metric((model, version, state), {})
    yield versions


def shadowed(routing: Routing) -> Iterator[Metric]:
    """Comparisons of shadowed answers with the answers that clients got."""
    copies = CounterMetricFamily(
        "gateway_shadow_copies", "Copies of requests for a shadowed version", labels=(*MODEL, "result")
    )
    same_class = CounterMetricFamily(
        "gateway_shadow_same_class", "Compared copies with the same most probable class", labels=MODEL
    )
    within_tolerance = CounterMetricFamily(
        "gateway_shadow_within_tolerance",
        "Compared copies with all probabilities within the tolerance",
        labels=MODEL,
    )
    for model, on_record in routing.record.models.items():
        for version in on_record.states.keys() & routing.counts.get(model, {}).keys():
            shadow = routing.counts[model][version].shadow
            for result in ("compared", "failed", "skipped"):
                copies.add_metric((model, version, result), getattr(shadow, result))
            same_class.add_metric((model, version), shadow.same_class)
            within_tolerance.add_metric((model, version), shadow.within_tolerance)
    yield from (copies, same_class, within_tolerance)


def cached(cache: CacheCounts) -> Iterator[Metric]:
    """Predictions by cache result; hits / (hits + misses + shared) is the hit ratio."""
    results = CounterMetricFamily(
        "gateway_cache_requests", "Predictions by what the response cache did", labels=("model", "result")
    )
    for model, counts in cache.by_model.items():
        for result, count in counts.items():
            results.add_metric((model, result), count)
    yield results


def isolated(isolation: IsolationCounts) -> Iterator[Metric]:
    """Requests of failed batches by the end of their repeat."""
    repeats = CounterMetricFamily(
        "gateway_isolated", "Requests of failed batches, by the end of their repeat", labels=("result",)
    )
    for result, count in isolation.results.items():
        repeats.add_metric((result,), count)
    yield repeats


def unlimited(limits: RateLimits) -> Iterator[Metric]:
    """Requests that no rate limit counted."""
    yield CounterMetricFamily(
        "gateway_rate_limit_unchecked",
        "Counts of requests that were let through since Redis could not be asked",
        limits.unchecked,
    )


def unlogged(lost: Callable[[], int]) -> Iterator[Metric]:
    """Lost log lines."""
    yield CounterMetricFamily(
        "gateway_log_lines_lost", "Log lines that could not be written to standard output", lost()
    )


def admitted(admission: Admission) -> Iterator[Metric]:
    """Requests with TorchServe and requests that wait, by model."""
    in_flight = GaugeMetricFamily(
        "gateway_admission_in_flight", "Requests that are with TorchServe", labels=("model",)
    )
    waiting = GaugeMetricFamily(
        "gateway_admission_waiting", "Requests that wait to be sent to TorchServe", labels=("model",)
    )
    limit = GaugeMetricFamily(
        "gateway_admission_limit", "Requests that may be with TorchServe at once", labels=("model",)
    )
    for model, lane in admission.lanes.items():
        in_flight.add_metric((model or UNKNOWN,), lane.in_flight)
        waiting.add_metric((model or UNKNOWN,), lane.waiting)
        limit.add_metric((model or UNKNOWN,), lane.limit)
    yield from (in_flight, waiting, limit)
