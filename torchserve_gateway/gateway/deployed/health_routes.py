"""Health routes: TorchServe answers, the process runs, a prediction would be served now."""

from fastapi import APIRouter, Response

from torchserve_gateway.gateway.deployed.readiness import Readiness
from torchserve_gateway.gateway.schemas import Health, problems
from torchserve_gateway.torchserve_api.connection import TorchServe


def routes(torchserve: TorchServe, readiness: Readiness) -> APIRouter:
    """`GET /ping`, `/health/live` and `/health/ready`."""
    router = APIRouter(tags=["health"])
    timeout_s = readiness.settings.gateway.health_timeout_s

    @router.get(
        "/ping", summary="TorchServe's own health", response_model=Health, responses=problems(502, 504)
    )
    async def ping() -> Response:
        return Response(await torchserve.inference.ping(timeout_s), media_type="application/json")

    @router.get("/health/live", summary="The gateway runs")
    async def live() -> Health:
        return Health(status="alive")

    @router.get("/health/ready", summary="A prediction would be served now", responses=problems(503))
    async def ready() -> Health:
        await readiness.check_gateway()
        return Health(status="ready")

    return router
