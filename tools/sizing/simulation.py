"""A discrete-event model of gateway, TorchServe's batching and its workers.

Requests come at random (Poisson), pass the gateway's one process and its admission, are dealt to replicas,
and wait for a batch as TorchServe's Model.pollBatch collects it: one worker at a time takes the first job,
then as many as come within `max_batch_delay`, at most `batch_size`, and runs them while another collects.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from torchserve_gateway.gateway.prediction.admission import BATCHES_PER_WORKER

Floats = np.ndarray[Any, np.dtype[np.float64]]
Process = Generator[simpy.Event, Any, None]
# Requests that find everything idle say nothing about a service under load.
WARM_UP_SHARE = 0.1


@dataclass(frozen=True)
class ServiceTimes:
    """Seconds, as tools/sizing/measurement.py measures them.

    gateway_s: of the gateway's process for one request; batch_s: a worker's for batches of 1, 2, ... images;
    spread: what single batches took, as shares of the mean; path_s: everything else of a lone request.
    """

    gateway_s: float
    batch_s: tuple[float, ...]
    spread: tuple[float, ...]
    path_s: float


@dataclass(frozen=True)
class Plan:
    """What is to serve. max_batch_delay_s as TorchServe's, but in seconds."""

    replicas: int
    workers: int
    batch_size: int
    max_batch_delay_s: float
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


def simulate(plan: Plan, times: ServiceTimes, rate: float, requests: int, seed: int = 0) -> Floats:
    """Latencies in seconds of the requests after warm-up, in the order they came. rate: requests a second."""
    env, rng = simpy.Environment(), np.random.default_rng(seed)
    limit = BATCHES_PER_WORKER * plan.replicas * plan.workers * plan.batch_size
    gateways = [(simpy.Resource(env), simpy.Resource(env, limit)) for _ in range(plan.gateways)]
    replicas = [Replica(env, plan, times, rng) for _ in range(plan.replicas)]
    latencies, ended = np.zeros(requests), env.event()
    left = requests

    def through_gateway(gateway: simpy.Resource) -> Process:
        with gateway.request() as turn:
            yield turn
            yield env.timeout(times.gateway_s / 2)

    def request(number: int) -> Process:
        nonlocal left
        started = env.now
        gateway, admitted = gateways[number % len(gateways)]
        yield from through_gateway(gateway)
        with admitted.request() as slot:
            yield slot
            # As the balancer does, see docker/haproxy.cfg: to the one with the fewest.
            replica = min(replicas, key=lambda each: each.in_flight)
            replica.in_flight += 1
            job = env.event()
            yield replica.queue.put(job)
            yield job
            replica.in_flight -= 1
            # The answer is read before the slot is free.
            yield from through_gateway(gateway)
        latencies[number] = env.now - started + times.path_s
        left -= 1
        if not left:
            ended.succeed()

    def arrivals() -> Process:
        for number, pause_s in enumerate(rng.exponential(1 / rate, requests)):
            yield env.timeout(pause_s)
            env.process(request(number))

    env.process(arrivals())
    env.run(until=ended)
    return latencies[int(requests * WARM_UP_SHARE) :]
