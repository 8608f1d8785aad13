"""What is deployed, read only: the Management API itself is for the deployer alone."""

from fastapi import APIRouter

from deployment.inventory import Row, inventory
from gateway.errors import UnknownModelError
from gateway.routing import Routing
from gateway.schemas import problems
from project_settings import ProjectSettings
from torchserve_api.connection import TorchServe, reachable, replicas


def routes(settings: ProjectSettings, torchserve: TorchServe, routing: Routing) -> APIRouter:
    """`GET /models` and `GET /models/{model}`."""
    router = APIRouter(tags=["models"])

    async def rows(names: set[str]) -> list[Row]:
        found = await replicas(settings.torchserve, torchserve.client)
        reached = await reachable(found, settings.gateway.health_timeout_s)
        return await inventory(names, routing.record, reached, len(found))

    @router.get("/models", summary="What is deployed, one entry a version", responses=problems(502, 504))
    async def models() -> list[Row]:
        return await rows({*routing.record.models, settings.gateway.default_model})

    @router.get("/models/{model}", summary="The versions of one model", responses=problems(404, 502, 504))
    async def model_versions(model: str) -> list[Row]:
        found = await rows({model})
        if not found:
            raise UnknownModelError(f"there is no model {model}; /models lists what is deployed")
        return found

    return router
