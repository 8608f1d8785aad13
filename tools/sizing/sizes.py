"""Sizes of a deployment for a rate, and its cost."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """A deployment that answers a rate."""

    workers: int
    replicas: int
    gateways: int
    cores: float
    """Cores of all parts together."""
    cost: float
    """Cost of a million images, in the price's currency."""


def sizes_for(
    rate: float,
    worker_rate: float,
    cpu_s: Mapping[str, float],
    utilisation: float,
    workers_per_replica: int,
    price_per_core_hour: float,
) -> Sizes:
    """Sizes for `rate` images a second.

    worker_rate: images a second of a busy worker; cpu_s: CPU seconds per image, by part.
    """
    workers = math.ceil(rate / (worker_rate * utilisation))
    gateways = math.ceil(rate * cpu_s["gateway"] / utilisation)
    cores = rate * sum(cpu_s.values()) / utilisation
    cost = cores / rate * 1e6 / 3600 * price_per_core_hour
    return Sizes(workers, math.ceil(workers / workers_per_replica), gateways, cores, cost)
