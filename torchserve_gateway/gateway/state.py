"""State of a gateway between requests: stages change it, scrapes read it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass

from torchserve_gateway.gateway.access.auth import Keyring
from torchserve_gateway.gateway.access.rate_limits import RateLimits
from torchserve_gateway.gateway.deployed.record_follower import Deployments
from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.deployed.served_models import ServedModels
from torchserve_gateway.gateway.prediction.admission import Admission
from torchserve_gateway.gateway.prediction.background_tasks import BackgroundTasks
from torchserve_gateway.gateway.prediction.cache_stores import CacheStore, store_of
from torchserve_gateway.gateway.prediction.stages import CacheCounts, IsolationCounts
from torchserve_gateway.gateway.processes.siblings import Sibling
from torchserve_gateway.settings.project import ProjectSettings


@dataclass(frozen=True, slots=True)
class GatewayState:
    """The state of one process of a gateway.

    Gateways share nothing but the record and, where configured, Redis; processes of one gateway also share
    `processes.siblings`.
    """

    routing: Routing
    deployments: Deployments
    """Keeps the routing in step with the record."""
    models: ServedModels
    """Limits and checks by model."""
    admission: Admission
    cache_store: CacheStore | None
    """None where the response cache is off."""
    cache_counts: CacheCounts
    isolation_counts: IsolationCounts
    jobs: BackgroundTasks
    """Jobs that TorchServe has."""
    copies: BackgroundTasks
    """Copies for a shadowed version."""
    rate_limits: RateLimits
    keyring: Keyring | None
    """None where no key is needed."""
    processes: int
    """Processes of this gateway."""

    @classmethod
    def of(cls, settings: ProjectSettings, sibling: Sibling | None = None) -> "GatewayState":
        """The state of a gateway that has had no request.

        Args:
            settings: The configuration.
            sibling: This process's view of those that it shares the state with; None: it is alone.

        Raises:
            ConfigurationError: the API keys cannot be read.
        """
        gateway, routing = settings.gateway, Routing()
        models = ServedModels(settings)
        directory = settings.torchserve.deployments_dir
        return cls(
            routing=routing,
            deployments=Deployments(
                routing, directory, gateway.deployments_refresh_s, sibling.name if sibling else None
            ),
            models=models,
            admission=Admission(gateway.admission, routing, models, sibling.lane if sibling else None),
            cache_store=store_of(gateway.cache) if gateway.cache.enabled else None,
            cache_counts=CacheCounts(),
            isolation_counts=IsolationCounts(),
            jobs=BackgroundTasks(),
            copies=BackgroundTasks(),
            rate_limits=RateLimits(gateway.rate_limit, sibling.shared.rates if sibling else None),
            keyring=Keyring(gateway.auth) if gateway.auth.enabled else None,
            processes=sibling.shared.processes if sibling else 1,
        )

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Follows the record and the API keys; at the end drops the jobs and closes the connections."""
        keys = self.keyring.followed() if self.keyring else nullcontext()
        async with self.deployments.followed(), keys:
            yield
            await self.jobs.close()
            await self.copies.close()
            await self.rate_limits.close()
            if self.cache_store:
                await self.cache_store.close()
