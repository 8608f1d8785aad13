"""A discrete-event model of gateway, TorchServe's batching and its workers.

Poisson arrivals pass the gateway's single process and its admission, are balanced over replicas, and wait for
a batch as TorchServe's Model.pollBatch collects it: a single worker takes the first job, then further jobs
within `max_batch_delay`, at most `batch_size`, and runs them while another worker collects.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from torchserve_gateway.gateway.prediction.admission import BATCHES_PER_WORKER

Floats = np.ndarray[Any, np.dtype[np.float64]]
Process = Generator[simpy.Event, Any, None]
# The first requests find everything idle.
WARM_UP_SHARE = 0.1


@dataclass(frozen=True)
class ServiceTimes:
    """Service times in seconds, as tools/sizing/measurement.py measures them."""

    gateway_s: float
    """CPU time of the gateway per request."""
    batch_s: tuple[float, ...]
    """Time of a worker for batches of 1, 2, ... images."""
    spread: tuple[float, ...]
    """Times of single batches, as shares of the mean."""
    path_s: float
    """Everything else of a lone request."""


@dataclass(frozen=True)
class Plan:
    """A deployment to simulate."""

    replicas: int
    workers: int
    """Workers per replica."""
    batch_size: int
    max_batch_delay_s: float
    """TorchServe's max_batch_delay, in seconds."""
    gateways: int = 1


class Replica:
    """One TorchServe with one model."""

    def __init__(
        self, env: simpy.Environment, plan: Plan, times: ServiceTimes, rng: np.random.Generator
    ) -> None:
        self._env, self._plan, self._times, self._rng = env, plan, times, rng
        self.queue = simpy.Store(env)
        self.in_flight = 0
        collecting = simpy.Resource(env)
        for _ in range(plan.workers):
            env.process(self._work(collecting))

    def _work(self, collecting: simpy.Resource) -> Process:
        while True:
            with collecting.request() as turn:
                yield turn
                jobs = [(yield self.queue.get())]
                yield from self._collect(jobs)
            mean_s = self._times.batch_s[len(jobs) - 1]
            yield self._env.timeout(mean_s * self._rng.choice(self._times.spread))
            for job in jobs:
                job.succeed()

    def _collect(self, jobs: list[simpy.Event]) -> Process:
        over = self._env.timeout(self._plan.max_batch_delay_s)
        while len(jobs) < self._plan.batch_size:
            coming = self.queue.get()
            yield coming | over
            if not coming.triggered:
                coming.cancel()
                return
            assert coming.value is not None
            jobs.append(coming.value)


class Gateway:
    """One gateway process with its admission, in front of all replicas."""

    def __init__(
        self, env: simpy.Environment, replicas: Sequence[Replica], times: ServiceTimes, limit: int
    ) -> None:
        self._env, self._replicas, self._times = env, replicas, times
        self._process, self._admission = simpy.Resource(env), simpy.Resource(env, limit)

    def answer(self) -> Process:
        """Passes a request through the gateway to a replica and back."""
        yield from self._half_of_its_time()
        with self._admission.request() as slot:
            yield slot
            # Least connections, as docker/haproxy.cfg balances.
            replica = min(self._replicas, key=lambda each: each.in_flight)
            replica.in_flight += 1
            job = self._env.event()
            yield replica.queue.put(job)
            yield job
            replica.in_flight -= 1
            # The answer is read before the slot is free.
            yield from self._half_of_its_time()

    def _half_of_its_time(self) -> Process:
        with self._process.request() as turn:
            yield turn
            yield self._env.timeout(self._times.gateway_s / 2)


def simulate(plan: Plan, times: ServiceTimes, rate: float, requests: int, seed: int = 0) -> Floats:
    """Latencies in seconds of the requests after warm-up, in order of arrival. rate: requests a second."""
    env, rng = simpy.Environment(), np.random.default_rng(seed)
    limit = BATCHES_PER_WORKER * plan.replicas * plan.workers * plan.batch_size
    replicas = [Replica(env, plan, times, rng) for _ in range(plan.replicas)]
    gateways = [Gateway(env, replicas, times, limit) for _ in range(plan.gateways)]
    latencies = np.zeros(requests)

    def request(number: int) -> Process:
        started = env.now
        yield from gateways[number % len(gateways)].answer()
        latencies[number] = env.now - started + times.path_s

    def arrivals() -> Process:
        arrived = []
        for number, pause_s in enumerate(rng.exponential(1 / rate, requests)):
            yield env.timeout(pause_s)
            arrived.append(env.process(request(number)))
        yield env.all_of(arrived)

    env.run(until=env.process(arrivals()))
    return latencies[int(requests * WARM_UP_SHARE) :]
