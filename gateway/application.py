"""Builds the application: the only place that knows every part."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from gateway import health, prediction_batches, predictions
from gateway.deployments import Deployments
from gateway.errors import install_error_handlers
from gateway.observability import RequestLogMiddleware
from gateway.predictor import Predictor
from gateway.routing import Routing
from gateway.shadowing import Shadowing
from project_settings import ProjectSettings
from torchserve_api.connection import TorchServe


def create_app(settings: ProjectSettings, transport: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """The gateway as an ASGI application. transport: what reaches TorchServe; tests pass their own."""
    gateway, torchserve = settings.gateway, TorchServe.at(settings.torchserve, transport)
    routing = Routing()
    deployments = Deployments(routing, settings.torchserve.deployments_dir, gateway.deployments_refresh_s)
    shadowing = Shadowing(
        torchserve.inference, routing, gateway.shadow_max_in_flight, gateway.shadow_probability_tolerance
    )
    predictor = Predictor(torchserve.inference, routing, shadowing, deployments)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with torchserve.client, deployments.followed():
            yield
            await shadowing.close()

    # Swagger UI's files come from the package, not from a CDN: /docs works without internet.
    app: FastAPI = FastAPIOffline(
        title="TorchServe gateway",
        summary="Send an image, get class probabilities.",
        version="0.1.0",
        lifespan=lifespan,
    )
    app.include_router(predictions.routes(gateway, settings.model, predictor))
    app.include_router(prediction_batches.routes(gateway, settings.model, predictor))
    app.include_router(health.routes(settings, torchserve))
    app.add_api_route("/", lambda: RedirectResponse("/docs"), include_in_schema=False)
    install_error_handlers(app)
    app.add_middleware(RequestLogMiddleware)
    return app
