"""Whether TorchServe is there, whether the process runs, whether a prediction would be served now."""

from fastapi import APIRouter, Response

from gateway.errors import NotReadyError
from gateway.schemas import Health, problems
from gateway.settings import GatewaySettings
from torchserve_api.errors import TorchServeError
from torchserve_api.inference import InferenceClient
from torchserve_api.management import ManagementClient


def routes(settings: GatewaySettings, inference: InferenceClient, management: ManagementClient) -> APIRouter:
    """`GET /ping`, `/health/live` and `/health/ready`."""
    router = APIRouter(tags=["health"])

    @router.get(
        "/ping", summary="TorchServe's own health", response_model=Health, responses=problems(502, 504)
    )
    async def ping() -> Response:
        return Response(await inference.ping(settings.health_timeout_s), media_type="application/json")

    @router.get("/health/live", summary="The gateway runs")
    async def live() -> Health:
        return Health(status="alive")

    @router.get("/health/ready", summary="A prediction would be served now", responses=problems(503))
    async def ready() -> Health:
        # TorchServe's /ping says Healthy without a model, and with one whose workers cannot start.
        name = settings.default_model
        try:
            default = (await management.describe(name, deadline_s=settings.health_timeout_s))[0]
        except TorchServeError as exc:
            raise NotReadyError(f"{name} cannot be served: {exc}") from exc
        if not default.ready_workers:
            raise NotReadyError(f"{name} {default.model_version} has no worker that is READY")
        return Health(status="ready")

    return router
