"""Builds the application: the only place that knows every part."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext

import httpx
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from torchserve_gateway.gateway import state_metrics
from torchserve_gateway.gateway.access.allowed_hosts import AllowedHosts
from torchserve_gateway.gateway.access.auth import Access, Keyring
from torchserve_gateway.gateway.access.cross_origin import allow_origins
from torchserve_gateway.gateway.access.rate_limits import RateLimits
from torchserve_gateway.gateway.deployed import health_routes, model_routes
from torchserve_gateway.gateway.deployed.fleet import Fleet
from torchserve_gateway.gateway.deployed.readiness import Readiness
from torchserve_gateway.gateway.deployed.record_follower import Deployments
from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.headers import TrimmedHeaders
from torchserve_gateway.gateway.http1.canonical_requests import CanonicalRequest
from torchserve_gateway.gateway.intake.disconnects import CancelOnDisconnect
from torchserve_gateway.gateway.prediction import batch_routes
from torchserve_gateway.gateway.prediction import routes as prediction_routes
from torchserve_gateway.gateway.prediction.admission import Admission
from torchserve_gateway.gateway.prediction.cache_stores import store_of
from torchserve_gateway.gateway.prediction.image_batches import ImagePredictions
from torchserve_gateway.gateway.prediction.stages.cache import ResponseCache
from torchserve_gateway.gateway.prediction.stages.fallback import Predictor
from torchserve_gateway.gateway.prediction.stages.retry import Upstream
from torchserve_gateway.gateway.prediction.stages.running_jobs import RunningJobs
from torchserve_gateway.gateway.prediction.stages.shadow import Shadowing
from torchserve_gateway.gateway.problems import install_error_handlers
from torchserve_gateway.gateway.protocols import kserve_v1, open_inference
from torchserve_gateway.gateway.telemetry import metrics, tracing
from torchserve_gateway.gateway.telemetry.request_context import RequestLogMiddleware
from torchserve_gateway.settings.gateway import GatewaySettings
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.pools import PooledTransport


def create_app(
    settings: ProjectSettings,
    transport: httpx.AsyncBaseTransport | None = None,
    lost_log_lines: Callable[[], int] = int,
) -> FastAPI:
    """The gateway as an ASGI application.

    Args:
        settings: The composed and validated configuration.
        transport: Reaches TorchServe; tests pass their own.
        lost_log_lines: Counts the log lines that could not be written.
    """
    gateway, traces = settings.gateway, tracing.tracer_provider(settings.gateway.tracing)
    if traces:
        transport = tracing.TracedTransport(transport or PooledTransport(), traces.get_tracer("gateway"))
    torchserve = TorchServe.at(settings.torchserve, transport)
    routing = Routing()
    deployments = Deployments(routing, settings.torchserve.deployments_dir, gateway.deployments_refresh_s)
    shadowing = Shadowing(
        torchserve.inference, routing, gateway.shadow_max_in_flight, gateway.shadow_probability_tolerance
    )
    admission = Admission(gateway.admission, routing, settings.model)
    upstream = Upstream(torchserve.inference, gateway.upstream)
    store = store_of(gateway.cache) if gateway.cache.enabled else None
    cache = ResponseCache(store) if store else None
    jobs = RunningJobs()
    predictor = Predictor(
        upstream, admission, routing, shadowing, deployments, cache, jobs, gateway.deadline_s
    )
    rate_limits = RateLimits(gateway.rate_limit)
    keyring = Keyring(gateway.auth) if gateway.auth.enabled else None
    access = Access(keyring, rate_limits)
    images = ImagePredictions(gateway, settings.model, predictor, rate_limits)
    fleet = Fleet(settings, torchserve, routing)
    readiness = Readiness(settings, torchserve, admission)
    measured = metrics.Metrics(
        routing, *state_metrics.collected(routing, admission, cache, rate_limits, lost_log_lines)
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with (
            torchserve.client,
            deployments.followed(),
            keyring.followed() if keyring else nullcontext(),
        ):
            yield
            await jobs.close()
            await shadowing.close()
            await rate_limits.close()
            if store:
                await store.close()
        if traces:
            await asyncio.to_thread(traces.shutdown)

    # Swagger UI's files come from the package, not from a CDN: /docs works without internet.
    app: FastAPI = FastAPIOffline(
        title="TorchServe gateway",
        summary="Send an image, get class probabilities.",
        version="0.1.0",
        lifespan=lifespan,
        redirect_slashes=False,
        telemetry=tracing.telemetry(traces),
    )
    predict = access.guard("predict")
    app.include_router(prediction_routes.routes(gateway, settings.model, predictor), **predict)
    app.include_router(batch_routes.routes(images), **predict)
    app.include_router(kserve_v1.routes(images, fleet, readiness), **predict)
    app.include_router(open_inference.server_routes(readiness))
    app.include_router(open_inference.model_routes(images, fleet, readiness), **predict)
    app.include_router(health_routes.routes(torchserve, readiness))
    app.include_router(model_routes.routes(fleet), **access.guard("models"))
    metrics_page = metrics.routes(measured, fleet.metrics, settings.torchserve.metrics_url)
    app.include_router(metrics_page, **access.guard("metrics"))
    app.add_api_route("/", lambda: RedirectResponse("/docs"), include_in_schema=False)
    install_error_handlers(app)
    app.state.admission = admission
    _add_middleware(app, gateway, measured, traced=traces is not None)
    return app


def _add_middleware(
    app: FastAPI, gateway: GatewaySettings, measured: metrics.Metrics, *, traced: bool
) -> None:
    """From the innermost to the outermost."""
    app.add_middleware(CanonicalRequest)
    allow_origins(app, gateway)
    if gateway.allowed_hosts:
        app.add_middleware(AllowedHosts, patterns=gateway.allowed_hosts)
    app.add_middleware(CancelOnDisconnect)
    app.add_middleware(metrics.MetricsMiddleware, metrics=measured)
    if traced:
        app.add_middleware(tracing.SpanAttributes)
    app.add_middleware(RequestLogMiddleware)
    app.add_middleware(TrimmedHeaders)
