"""Builds the application: the only place that knows every part."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from gateway import health, prediction_batches, predictions
from gateway.errors import install_error_handlers
from gateway.observability import RequestLogMiddleware
from project_settings import ProjectSettings
from torchserve_api.connection import TorchServe


def create_app(settings: ProjectSettings, transport: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """The gateway as an ASGI application. transport: what reaches TorchServe; tests pass their own."""
    torchserve = TorchServe.at(settings.torchserve, transport)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with torchserve.client:
            yield

    # Swagger UI's files come from the package, not from a CDN: /docs works without internet.
    app: FastAPI = FastAPIOffline(
        title="TorchServe gateway",
        summary="Send an image, get class probabilities.",
        version="0.1.0",
        lifespan=lifespan,
    )
    app.include_router(predictions.routes(settings.gateway, settings.model, torchserve.inference))
    app.include_router(prediction_batches.routes(settings.gateway, settings.model, torchserve.inference))
    app.include_router(health.routes(settings.gateway, torchserve.inference, torchserve.management))
    app.add_api_route("/", lambda: RedirectResponse("/docs"), include_in_schema=False)
    install_error_handlers(app)
    app.add_middleware(RequestLogMiddleware)
    return app
