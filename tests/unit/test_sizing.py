"""The simulation against what queueing theory and TorchServe's own rules say."""

import numpy as np
import pytest

from tools.sizing.simulation import Floats, Plan, ServiceTimes, simulate
from tools.sizing.sizes import sizes_for

# Enough for a mean within 5 % of the theory's, and for a median.
MANY, REQUESTS = 30_000, 2_000


def times(*batch_s: float, gateway_s: float = 0, path_s: float = 0) -> ServiceTimes:
    return ServiceTimes(gateway_s, batch_s, (1.0,), path_s)


def latencies(plan: Plan, service: ServiceTimes, rate: float, requests: int = REQUESTS) -> Floats:
    return simulate(plan, service, rate, requests)


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.6, *(pytest.param(load, marks=pytest.mark.long) for load in (0.3, 0.8))])
def test_without_batching_it_is_the_queue_with_random_arrivals_and_equal_service_times(load: float) -> None:
    service_s = 0.01
    simulated = latencies(Plan(1, 1, 1, 0), times(service_s), load / service_s, MANY).mean()
    # Pollaczek and Khinchine, M/D/1.
    assert simulated == pytest.approx(service_s + load * service_s / (2 * (1 - load)), rel=0.05)


def test_a_lone_request_waits_the_whole_batch_delay() -> None:
    plan = Plan(1, 1, 8, max_batch_delay_s=0.02)
    alone = latencies(plan, times(*[0.005] * 8, gateway_s=0.001, path_s=0.002), rate=0.01)
    assert np.median(alone) == pytest.approx(0.028)


def test_a_full_batch_does_not_wait() -> None:
    plan = Plan(1, 1, 4, max_batch_delay_s=1000)
    # Each batch of four leaves when its fourth request has come, a thousandth of the delay later.
    assert latencies(plan, times(*[0.001] * 4), rate=1000).max() < 1


def test_batches_let_a_worker_answer_more_than_one_by_one() -> None:
    service = times(0.011, 0.012, 0.013, 0.014)
    rate = 2 / 0.013
    assert np.median(latencies(Plan(1, 1, 4, 0.01), service, rate)) < 0.1
    assert np.median(latencies(Plan(1, 1, 1, 0), service, rate)) > 1


def test_twice_the_replicas_answer_twice_as_many() -> None:
    service = times(0.01)
    one = np.percentile(latencies(Plan(1, 1, 1, 0), service, 80), 99)
    two = np.percentile(latencies(Plan(2, 1, 1, 0), service, 160), 99)
    assert two < one


def test_a_gateway_that_is_too_slow_is_what_saturates() -> None:
    service = times(0.001, gateway_s=0.01)
    assert np.median(latencies(Plan(4, 1, 1, 0), service, 150)) > 1
    assert np.median(latencies(Plan(4, 1, 1, 0, gateways=2), service, 150)) < 0.1


def test_the_same_seed_gives_the_same_latencies() -> None:
    plan, service = Plan(2, 2, 4, 0.01), times(0.01, 0.01, 0.01, 0.01)
    assert (simulate(plan, service, 50, 1000) == simulate(plan, service, 50, 1000)).all()


def test_sizes_follow_from_rates_and_core_seconds() -> None:
    cpu_s = {"gateway": 0.002, "torchserve": 0.001, "worker": 0.007}
    sizes = sizes_for(
        rate=1000,
        worker_rate=100,
        cpu_s=cpu_s,
        utilisation=0.5,
        workers_per_replica=4,
        price_per_core_hour=0.36,
    )
    # 20 workers at half their rate; 2 cores of gateway, half busy; 10 core seconds a second, half busy.
    assert (sizes.workers, sizes.replicas, sizes.gateways) == (20, 5, 4)
    assert sizes.cores == pytest.approx(20)
    # 20 core seconds a thousand images, at 0.0001 for a core second.
    assert sizes.cost == pytest.approx(2.0)
