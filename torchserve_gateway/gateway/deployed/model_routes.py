"""Read-only routes of the deployed models: the Management API itself is for the deployer alone."""

from fastapi import APIRouter

from torchserve_gateway.gateway.deployed.fleet import Fleet
from torchserve_gateway.gateway.names import PathModel
from torchserve_gateway.gateway.schemas import problems
from torchserve_gateway.record.inventory import Row


def routes(fleet: Fleet) -> APIRouter:
    """`GET /models` and `GET /models/{model}`."""
    router = APIRouter(tags=["models"])

    @router.get("/models", summary="What is deployed, one entry a version", responses=problems(502, 504))
    async def models() -> list[Row]:
        return (await fleet.inventory(fleet.models)).rows

    @router.get(
        "/models/{model}", summary="The versions of one model", responses=problems(404, 414, 502, 504)
    )
    async def model_versions(model: PathModel) -> list[Row]:
        return await fleet.versions_of(model)

    return router
