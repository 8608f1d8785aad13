"""Whether TorchServe is there, whether the process runs, whether a prediction would be served now."""

import asyncio

from fastapi import APIRouter, Response

from gateway.admission import Admission
from gateway.errors import NotReadyError
from gateway.schemas import Health, problems
from project_settings import ProjectSettings
from torchserve_api.connection import TorchServe, replicas
from torchserve_api.errors import TorchServeError


def routes(settings: ProjectSettings, torchserve: TorchServe, admission: Admission) -> APIRouter:
    """`GET /ping`, `/health/live` and `/health/ready`."""
    router = APIRouter(tags=["health"])
    timeout_s, name = settings.gateway.health_timeout_s, settings.gateway.default_model

    async def problem_of(replica: TorchServe) -> str | None:
        try:
            default = (await replica.management.describe(name, deadline_s=timeout_s))[0]
        except TorchServeError as exc:
            return f"{name} cannot be served: {exc}"
        return (
            None if default.ready_workers else f"{name} {default.model_version} has no worker that is READY"
        )

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
        if admission.draining:
            raise NotReadyError("this gateway is stopping")
        # TorchServe's /ping says Healthy without a model, and with one whose workers cannot start.
        found = await replicas(settings.torchserve, torchserve.client)
        unready = await asyncio.gather(*(problem_of(each) for each in found))
        if all(unready):
            raise NotReadyError(str(unready[0]))
        return Health(status="ready")

    return router
