"""What is deployed, read only: the Management API itself is for the deployer alone."""

from collections.abc import Iterable
from dataclasses import dataclass

from fastapi import APIRouter

from deployment.inventory import Row, inventory
from gateway.errors import UnknownModelError
from gateway.routing import Routing
from gateway.schemas import problems
from project_settings import ProjectSettings
from torchserve_api.connection import TorchServe, reachable, replicas


@dataclass(frozen=True)
class DeployedModels:
    """Asks every TorchServe that can be reached."""

    settings: ProjectSettings
    torchserve: TorchServe
    routing: Routing

    async def all_versions(self) -> list[Row]:
        """Of the default model and of those on record.

        Raises:
            TorchServeError: as the subclass that fits.
        """
        return await self._rows({*self.routing.record.models, self.settings.gateway.default_model})

    async def versions_of(self, model: str) -> list[Row]:
        """At least one.

        Raises:
            UnknownModelError: there is none.
            TorchServeError: as the subclass that fits.
        """
        found = await self._rows({model})
        if not found:
            raise UnknownModelError(f"there is no model {model}; /models lists what is deployed")
        return found

    async def _rows(self, names: Iterable[str]) -> list[Row]:
        found = await replicas(self.settings.torchserve, self.torchserve.client)
        reached = await reachable(found, self.settings.gateway.health_timeout_s)
        return await inventory(names, self.routing.record, reached, len(found))


def routes(deployed: DeployedModels) -> APIRouter:
    """`GET /models` and `GET /models/{model}`."""
    router = APIRouter(tags=["models"])

    @router.get("/models", summary="What is deployed, one entry a version", responses=problems(502, 504))
    async def models() -> list[Row]:
        return await deployed.all_versions()

    @router.get("/models/{model}", summary="The versions of one model", responses=problems(404, 502, 504))
    async def model_versions(model: str) -> list[Row]:
        return await deployed.versions_of(model)

    return router
