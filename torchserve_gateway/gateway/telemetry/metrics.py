"""Request metrics for Prometheus.

No label takes a value that a client can invent: routes are templates, models and versions are on record,
callers are names of API keys.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Receive, Scope, Send

from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.telemetry.histograms import LabelledHistogram
from torchserve_gateway.gateway.telemetry.request_context import RequestContext, context_of

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
# In seconds; a stage may take a tenth of a millisecond, a request as long as its deadline.
DURATIONS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
NO_ROUTE, OTHER, UNKNOWN = "none", "other", "unknown"
NO_MODEL = ("", "")

Collect = Callable[[], Iterable[Metric]]
"""Reads gauges and counters at scrape time."""
AskMetrics = Callable[[], Awaitable[Iterable[Metric]]]
"""Asks others for their metrics."""


# Values of labels are bounded, see above; series beyond this are looked up again.
MAX_KEPT_SERIES = 10_000


def _series(metric: Counter) -> Callable[..., Counter]:
    """The series of a metric by the values of its labels; `labels` takes longer than counting."""
    return lru_cache(MAX_KEPT_SERIES)(metric.labels)


class Metrics:
    """One gateway's metrics, in a registry of their own."""

    def __init__(self, routing: Routing, *collect: Collect) -> None:
        self.registry = CollectorRegistry()
        self._routing = routing
        model = ("model", "version")
        self._requests = _series(
            Counter(
                "gateway_requests",
                "Answered requests; 499: the client had gone",
                ("method", "route", *model, "status"),
                registry=self.registry,
            )
        )
        self._callers = _series(
            Counter(
                "gateway_caller_requests",
                "Answered requests with an API key, by whose it is",
                ("caller", "status"),
                registry=self.registry,
            )
        )
        self._errors = _series(
            Counter("gateway_errors", "Failed requests by cause", (*model, "error"), registry=self.registry)
        )
        self._duration = LabelledHistogram(
            "gateway_request_duration_seconds",
            "From a request's head to the last byte of its answer",
            ("route", "model"),
            buckets=DURATIONS_S,
            registry=self.registry,
        )
        self._stages = LabelledHistogram(
            "gateway_stage_duration_seconds",
            "Where the time of answered predictions went",
            (*model, "stage"),
            buckets=DURATIONS_S,
            registry=self.registry,
        )
        self._batch_size = LabelledHistogram(
            "gateway_batch_size",
            "Requests in the batch that a prediction ran in",
            model,
            buckets=BATCH_SIZES,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "gateway_requests_in_flight", "Requests that are not answered yet", registry=self.registry
        )
        ProcessCollector(registry=self.registry)
        for each in collect:
            self.registry.register(_StateCollector(each))

    async def collect(self) -> Iterable[Metric]:
        """All metrics of this process."""
        return self.registry.collect()

    def observe(self, scope: Scope, context: RequestContext) -> None:
        """Counts one request that has ended."""
        method = scope["method"] if scope["method"] in METHODS else OTHER
        # Starlette leaves the matched route here; mounted files and redirects have none. Not `path`, which
        # may name a convertor.
        route = getattr(scope.get("route"), "path_format", NO_ROUTE)
        model, version = self._labels(context.model, context.version)
        self._requests(method, route, model, version, str(context.status)).inc()
        if context.caller:
            self._callers(context.caller, str(context.status)).inc()
        self._duration.observe((route, model), context.elapsed_s)
        if context.error_type:
            self._errors(model, version, context.error_type).inc()
        if context.answers:
            self._stages.observe((model, version, "gateway"), context.stages_s["gateway"])
        for answer in context.answers:
            model, version = self._labels(context.model, answer.version)
            for stage, seconds in answer.stages_s.items():
                self._stages.observe((model, version, stage), seconds)
            if answer.batch_size:
                self._batch_size.observe((model, version), answer.batch_size)

    def _labels(self, model: str | None, version: str | None) -> tuple[str, str]:
        """Model and version as labels; a version that is not chosen yet is empty."""
        if model is None:
            return NO_MODEL
        deployed = self._routing.record.models.get(model)
        if deployed is None:
            return UNKNOWN, UNKNOWN
        if not version:
            return model, ""
        return model, version if version in deployed.states else UNKNOWN


class _StateCollector(Collector):
    """Adapts a function to prometheus_client."""

    def __init__(self, collect: Collect) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()


@dataclass(frozen=True)
class MetricsMiddleware:
    """Counts every request, inside the middleware that makes its context."""

    app: ASGIApp
    metrics: Metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        context = context_of(scope)
        self.metrics.in_flight.inc()
        try:
            await self.app(scope, receive, send)
        except Exception as exc:
            # An unforeseen error is answered further out.
            context.error_type = type(exc).__name__
            raise
        finally:
            self.metrics.in_flight.dec()
            self.metrics.observe(scope, context)


def routes(collect: AskMetrics, ask_fleet: AskMetrics, torchserve_metrics_url: str) -> APIRouter:
    """`GET /metrics`.

    Args:
        collect: Returns the gateway's own metrics.
        ask_fleet: Asks the TorchServes for their workers and queues.
        torchserve_metrics_url: Address of TorchServe's own page.
    """
    router = APIRouter(tags=["health"])

    @router.get(
        "/metrics",
        summary="The gateway's metrics for Prometheus",
        description=f"As text, or as OpenMetrics where `Accept` asks for it. TorchServe's own are at "
        f"`{torchserve_metrics_url}/metrics`.",
        response_class=PlainTextResponse,
    )
    async def scrape(request: Request) -> Response:
        asked = await ask_fleet()
        collected = await collect()
        page = _StateCollector(lambda: chain(collected, asked))
        # prometheus_client's own choice of a format fails on a version that is no number.
        if "application/openmetrics-text" in request.headers.get("accept", ""):
            return Response(
                openmetrics.generate_latest(page),  # type: ignore[no-untyped-call]
                media_type=openmetrics.CONTENT_TYPE_LATEST,
            )
        return Response(generate_latest(page), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return router
