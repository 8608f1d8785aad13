"""The TorchServes behind this gateway and their models."""

import asyncio
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.errors import UnknownModelError
from torchserve_gateway.record.inventory import Row, inventory
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.torchserve_api.connection import TorchServe, reachable, replicas
from torchserve_gateway.torchserve_api.errors import TorchServeError


@dataclass(frozen=True)
class Inventory:
    """Models of all TorchServes."""

    replicas: int
    """TorchServes there should be."""
    reached: int
    """TorchServes that answer."""
    rows: list[Row]
    """Versions of their models."""


@dataclass(frozen=True)
class Fleet:
    """Asks every TorchServe's Management API."""

    settings: ProjectSettings
    torchserve: TorchServe
    routing: Routing

    @property
    def models(self) -> set[str]:
        """Models on record, the configured models, and the default model."""
        return {*self.routing.record.models, *self.settings.models, self.settings.gateway.default_model}

    async def inventory(self, models: Collection[str]) -> Inventory:
        """The versions of these models.

        Raises:
            TorchServeError: no TorchServe answers, or an answer is not TorchServe's.
        """
        return await self._inventory_of(await self._replicas(), models)

    async def _replicas(self) -> list[TorchServe]:
        return await replicas(self.settings.torchserve, self.torchserve.http)

    async def _inventory_of(self, found: list[TorchServe], models: Collection[str]) -> Inventory:
        reached = await reachable(found, self.settings.gateway.health_timeout_s)
        rows = await inventory(models, self.routing.record, reached, len(found))
        return Inventory(len(found), len(reached), rows)

    async def versions_of(self, model: str) -> list[Row]:
        """Versions of one model, at least one.

        Raises:
            UnknownModelError: there is no version.
            TorchServeError: see `inventory`.
        """
        found = (await self.inventory({model})).rows
        if not found:
            raise UnknownModelError(f"there is no model {model}; /models lists what is deployed")
        return found

    async def metrics(self) -> list[Metric]:
        """Gauges for Prometheus; only the expected number of TorchServes if they do not answer in time."""
        found = await self._replicas()
        try:
            async with asyncio.timeout(self.settings.gateway.health_timeout_s):
                return list(_metrics(await self._inventory_of(found, self.models)))
        except (TorchServeError, TimeoutError):
            return list(_metrics(Inventory(len(found), 0, [])))


def _metrics(found: Inventory) -> Iterator[Metric]:
    yield GaugeMetricFamily("gateway_torchserve_replicas", "TorchServes there should be", found.replicas)
    yield GaugeMetricFamily("gateway_torchserve_reachable", "TorchServes that answer", found.reached)
    workers = GaugeMetricFamily(
        "gateway_model_workers", "Workers of all TorchServes", labels=("model", "version", "state")
    )
    queued = GaugeMetricFamily(
        "gateway_model_queued", "Requests in TorchServe's own queues", labels=("model", "version")
    )
    for row in found.rows:
        workers.add_metric((row.model, row.version, "ready"), row.workers_ready)
        workers.add_metric((row.model, row.version, "wanted"), row.workers)
        queued.add_metric((row.model, row.version), row.queued)
    yield from (workers, queued)
