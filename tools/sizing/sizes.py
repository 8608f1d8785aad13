"""How many of each part a rate needs, and what a million images cost."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """cores: of all parts together; cost: of a million images, in the price's currency."""

    workers: int
    replicas: int
    gateways: int
    cores: float
    cost: float


def sizes_for(
    rate: float,
    worker_rate: float,
    cpu_s: Mapping[str, float],
    utilisation: float,
    workers_per_replica: int,
    price_per_core_hour: float,
) -> Sizes:
    """rate, worker_rate: images a second, of all and of a busy worker; cpu_s: each part's for one image."""
    workers = math.ceil(rate / (worker_rate * utilisation))
    gateways = math.ceil(rate * cpu_s["gateway"] / utilisation)
    cores = rate * sum(cpu_s.values()) / utilisation
    cost = cores / rate * 1e6 / 3600 * price_per_core_hour
    return Sizes(workers, math.ceil(workers / workers_per_replica), gateways, cores, cost)
