"""The middleware of the application."""

from collections.abc import Callable

from fastapi import FastAPI
from starlette.types import ASGIApp

from torchserve_gateway.gateway.access.allowed_hosts import AllowedHosts
from torchserve_gateway.gateway.access.cross_origin import allow_origins
from torchserve_gateway.gateway.headers import TrimmedHeaders
from torchserve_gateway.gateway.http1.canonical_requests import CanonicalRequest
from torchserve_gateway.gateway.intake.disconnects import CancelOnDisconnect
from torchserve_gateway.gateway.telemetry.metrics import Metrics, MetricsMiddleware
from torchserve_gateway.gateway.telemetry.request_log import RequestLogMiddleware
from torchserve_gateway.gateway.telemetry.tracing import SpanAttributes
from torchserve_gateway.settings.gateway import GatewaySettings


def add_middleware(
    app: FastAPI,
    settings: GatewaySettings,
    metrics: Metrics,
    direct: Callable[[ASGIApp], ASGIApp],
    *,
    traced: bool,
) -> None:
    """Adds the middleware from the innermost to the outermost, as Starlette wants it."""
    # FastAPI names a span after its own route.
    if not traced:
        app.add_middleware(direct)
    app.add_middleware(CanonicalRequest)
    allow_origins(app, settings)
    if settings.allowed_hosts:
        app.add_middleware(AllowedHosts, patterns=settings.allowed_hosts)
    app.add_middleware(CancelOnDisconnect)
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    if traced:
        app.add_middleware(SpanAttributes)
    app.add_middleware(RequestLogMiddleware)
    app.add_middleware(TrimmedHeaders)
