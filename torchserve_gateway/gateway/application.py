"""Builds the application: the only place that knows every part."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial

import httpx
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp

from torchserve_gateway.gateway import state_metrics
from torchserve_gateway.gateway.access.api_keys import PREDICT
from torchserve_gateway.gateway.access.auth import Access
from torchserve_gateway.gateway.deployed import health_routes, model_routes
from torchserve_gateway.gateway.deployed.fleet import Fleet
from torchserve_gateway.gateway.deployed.readiness import Readiness
from torchserve_gateway.gateway.deployed.worker_watch import Workers, WorkerWatch
from torchserve_gateway.gateway.direct_routes import DirectRoutes
from torchserve_gateway.gateway.live import routes as live_routes
from torchserve_gateway.gateway.live.streams import LiveStreams
from torchserve_gateway.gateway.middleware import add_middleware
from torchserve_gateway.gateway.page import routes as page_routes
from torchserve_gateway.gateway.prediction import batch_routes, stages
from torchserve_gateway.gateway.prediction import routes as prediction_routes
from torchserve_gateway.gateway.prediction.arrivals import Arrivals
from torchserve_gateway.gateway.prediction.circuit import Circuit
from torchserve_gateway.gateway.prediction.image_batches import ImageBatches
from torchserve_gateway.gateway.prediction.stage import Stage, chained
from torchserve_gateway.gateway.problems import install_error_handlers
from torchserve_gateway.gateway.processes.metric_snapshots import SharedMetrics
from torchserve_gateway.gateway.processes.siblings import Sibling
from torchserve_gateway.gateway.protocols import kserve_v1, open_inference
from torchserve_gateway.gateway.state import GatewayState
from torchserve_gateway.gateway.telemetry import metrics, tracing
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.http_pool import PooledTransport
from torchserve_gateway.version import __version__


def create_app(
    settings: ProjectSettings,
    transport: httpx.AsyncBaseTransport | None = None,
    lost_log_lines: Callable[[], int] = int,
    sibling: Sibling | None = None,
) -> FastAPI:
    """The gateway as an ASGI application.

    Args:
        settings: The composed and validated configuration.
        transport: Reaches TorchServe; tests pass their own.
        lost_log_lines: Counts the log lines that could not be written.
        sibling: This process's view of the gateway's other processes; None: there are none.

    Raises:
        ConfigurationError: the API keys cannot be read.
    """
    traces = tracing.tracer_provider(settings.gateway.tracing)
    if traces:
        transport = tracing.TracedTransport(
            transport or PooledTransport(max_answer_bytes=settings.torchserve.max_answer_bytes),
            traces.get_tracer("gateway"),
        )
    torchserve = TorchServe.at(settings.torchserve, transport)
    state = GatewayState.of(settings, sibling)

    scraped = state_metrics.collected(state, lost_log_lines)
    measured = metrics.Metrics(state.routing, *scraped)
    shared = SharedMetrics(sibling.shared.metrics, sibling.number, measured.registry) if sibling else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        heeding = sibling.listening(shared.publish) if sibling and shared else nullcontext()
        async with torchserve.http, state.followed(), heeding, live.running():
            yield
        if traces:
            await asyncio.to_thread(traces.shutdown)

    # Swagger UI's files come from the package, not from a CDN: /docs works without internet.
    app: FastAPI = FastAPIOffline(
        title="TorchServe gateway",
        summary="Send an image, get class probabilities.",
        version=__version__,
        lifespan=lifespan,
        redirect_slashes=False,
        telemetry=tracing.telemetry(traces),
    )
    live = LiveStreams.of(settings, torchserve, state, measured, sibling)
    collect = shared.collect if shared else measured.collect
    direct = _add_routes(app, settings, torchserve, state, collect, live)
    install_error_handlers(app)
    add_middleware(app, settings.gateway, measured, direct, traced=traces is not None)
    app.state.admission, app.state.routing = state.admission, state.routing
    return app


def prediction_stages(settings: ProjectSettings, torchserve: TorchServe, state: GatewayState) -> Stage:
    """The stages of one prediction, in the order in which a job meets them."""
    gateway, routing, inference = settings.gateway, state.routing, torchserve.inference
    upstream, store = gateway.upstream, state.cache_store
    circuit = Circuit(upstream.breaker_failures, upstream.breaker_open_s)
    call = stages.TorchServeCall(inference)
    copied = stages.VersionCounting(routing, call)
    max_copies = max(1, gateway.shadow_max_in_flight // state.processes)
    copy_limits = max_copies, gateway.shadow_probability_tolerance
    return chained(
        stages.Deadline,
        # A key's holder may not see what else is deployed.
        partial(
            stages.VersionChoice,
            routing,
            explains=not gateway.auth.enabled,
            configured=state.models.configured.keys(),
        ),
        partial(stages.Shadow, routing, state.copies, *copy_limits, copied),
        *([partial(stages.Cache, routing, store, state.cache_counts)] if store else []),
        partial(stages.RunningJobs, state.admission, state.jobs, state.models.deadline_s),
        partial(stages.Fallback, state.deployments.refresh),
        partial(stages.VersionCounting, routing),
        partial(
            stages.Isolation,
            routing,
            upstream.max_isolated,
            state.isolation_counts,
            processes=state.processes,
        ),
        partial(stages.Retry, upstream.attempts),
        partial(stages.Breaker, circuit, inference.ping),
        partial(stages.Loading, WorkerWatch(Workers(settings, torchserve).are_loading)),
        innermost=call,
    )


def _add_routes(
    app: FastAPI,
    settings: ProjectSettings,
    torchserve: TorchServe,
    state: GatewayState,
    collect: metrics.AskMetrics,
    live: LiveStreams,
) -> Callable[[ASGIApp], ASGIApp]:
    """Adds all routes; returns the middleware that answers plain predictions without them."""
    gateway = settings.gateway
    predictions = prediction_stages(settings, torchserve, state)
    arrivals = Arrivals(gateway, state.models, state.admission)
    batches = ImageBatches(gateway, state.models, state.rate_limits, predictions)
    fleet = Fleet(settings, torchserve, state.routing)
    readiness = Readiness(settings, torchserve, state.admission)
    access = Access(state.keyring, state.rate_limits)
    predict, of_default = access.guard(PREDICT), (PREDICT, gateway.default_model)
    predicting = prediction_routes.routes(arrivals, predictions)
    app.include_router(predicting, **access.guard(*of_default))
    app.include_router(batch_routes.routes(arrivals, batches), **access.guard(*of_default))
    may_predict, is_foreign = access.may_predict, state.routing.takes_any_input
    v1 = kserve_v1.routes(arrivals, batches, fleet, readiness, may_predict, is_foreign)
    app.include_router(v1, **predict)
    app.include_router(open_inference.server_routes(readiness))
    app.include_router(open_inference.model_routes(arrivals, batches, fleet, readiness), **predict)
    app.include_router(health_routes.routes(torchserve, readiness))
    app.include_router(model_routes.routes(fleet), **access.guard("models"))
    metrics_page = metrics.routes(collect, fleet.metrics, settings.torchserve.metrics_url)
    app.include_router(metrics_page, **access.guard("metrics"))
    app.include_router(live_routes.routes(live), **access.guard("models"))
    app.include_router(page_routes.sample_routes(settings), **access.guard(*of_default))
    app.include_router(page_routes.routes(settings, state.models))
    return partial(DirectRoutes, router=predicting, authorize=access.check_of(*of_default))
