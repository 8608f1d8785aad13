"""Metrics of several processes, as a scrape of any of them shows them."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from torchserve_gateway.gateway.processes.metric_snapshots import SharedMetrics
from torchserve_gateway.gateway.processes.metric_sums import decoded, encoded
from torchserve_gateway.gateway.processes.siblings import Shared


class Deployed(Collector):
    """Versions on record, as a process knows them."""

    def __init__(self, version: str) -> None:
        self._version = version

    def collect(self) -> Iterator[Metric]:
        versions = InfoMetricFamily("gateway_model_version", "Deployed versions", labels=("version",))
        versions.add_metric((self._version,), {})
        yield versions


class Process:
    """One process's metrics."""

    def __init__(self, shared: Shared, number: int, version: str = "1.0") -> None:
        registry = CollectorRegistry()
        self.requests = Counter("gateway_requests", "Requests", ("status",), registry=registry)
        self.seconds = Histogram("gateway_s", "Seconds", buckets=(1, 2), registry=registry)
        self.in_flight = Gauge("gateway_requests_in_flight", "In flight", registry=registry)
        self.limit = Gauge("gateway_admission_limit", "Slots", registry=registry)
        registry.register(Deployed(version))
        self.metrics = SharedMetrics(shared.metrics, number, registry)
        shared.started(number)

    async def page(self) -> list[str]:
        class Page(Collector):
            def collect(self) -> list[Metric]:
                return found

        found = await self.metrics.collect()
        return generate_latest(Page()).decode().splitlines()


@pytest.fixture
def shared() -> Shared:
    return Shared(2)


@pytest.mark.slow
async def test_counts_and_gauges_of_all_processes_are_added(shared: Shared) -> None:
    one, other = Process(shared, 0), Process(shared, 1)
    for process in (one, other, other):
        process.requests.labels("200").inc()
        process.in_flight.inc()
        process.seconds.observe(1.5)
    other.requests.labels("503").inc()
    other.metrics.publish()
    page = await one.page()
    assert 'gateway_requests_total{status="200"} 3.0' in page
    assert 'gateway_requests_total{status="503"} 1.0' in page
    assert "gateway_requests_in_flight 3.0" in page
    assert [line for line in page if line.startswith("gateway_s_")][:5] == [
        'gateway_s_bucket{le="1.0"} 0.0',
        'gateway_s_bucket{le="2.0"} 3.0',
        'gateway_s_bucket{le="+Inf"} 3.0',
        "gateway_s_count 3.0",
        "gateway_s_sum 4.5",
    ]


@pytest.mark.slow
async def test_limits_and_versions_are_not_added(shared: Shared) -> None:
    one, behind = Process(shared, 0, "2.0"), Process(shared, 1, "1.0")
    for process in (one, behind):
        process.limit.set(16)
    behind.metrics.publish()
    page = await one.page()
    assert "gateway_admission_limit 16.0" in page
    assert [line for line in page if line.startswith("gateway_model_version_info")] == [
        'gateway_model_version_info{version="2.0"} 1.0'
    ]


@pytest.mark.slow
async def test_a_killed_process_leaves_its_counts_and_no_gauges(shared: Shared) -> None:
    one, killed = Process(shared, 0), Process(shared, 1)
    killed.requests.labels("200").inc(5)
    killed.in_flight.inc(5)
    assert 'gateway_requests_total{status="200"} 5.0' in await killed.page()
    shared.ended(1)
    page = await one.page()
    assert 'gateway_requests_total{status="200"} 5.0' in page
    assert "gateway_requests_in_flight 0.0" in page
    replacement = Process(shared, 1)
    replacement.requests.labels("200").inc()
    replacement.metrics.publish()
    assert 'gateway_requests_total{status="200"} 6.0' in await one.page()
    assert 'gateway_requests_total{status="200"} 6.0' in await replacement.page()


def test_metrics_survive_the_way_to_another_process() -> None:
    registry = CollectorRegistry()
    Histogram("seconds", "Seconds", ("route",), registry=registry).labels('/a"\n').observe(float("1e-4"))
    found = list(registry.collect())
    assert [(each.name, each.type, each.samples) for each in decoded(encoded(found))] == [
        (each.name, each.type, [sample._replace(timestamp=None) for sample in each.samples]) for each in found
    ]
    assert decoded(b"") == []
