"""OpenTelemetry traces: one span a request, below it one for every call of TorchServe.

The request's span is FastAPI's own. Unless traces are configured, the SDK is not imported and nothing is
added to the application.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AnyValue
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from torchserve_gateway.gateway.telemetry.request_context import RequestContext, context_of
from torchserve_gateway.gateway.telemetry.request_log import UNLOGGED_PATHS
from torchserve_gateway.settings.gateway import TracingSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

W3C = TraceContextTextMapPropagator()
# W3C asks to pass on at least so many; TorchServe refuses a request with a head of over 8 KiB.
MAX_TRACESTATE_CHARS = 512
OFF: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


def tracer_provider(settings: TracingSettings) -> "TracerProvider | None":
    """Makes spans and sends them to the collector until it is shut down; None where tracing is off."""
    if settings.otlp_endpoint is None:
        return None
    from torchserve_gateway.gateway.telemetry.span_export import exporting_provider  # noqa: PLC0415 - it loads the SDK

    return exporting_provider(settings.otlp_endpoint, settings.service_name, settings.sampled_share)


def telemetry(provider: "TracerProvider | None") -> TelemetryConfig:
    """FastAPI's telemetry, whatever the environment says."""
    if provider is None:
        return OFF
    return {
        **OFF,
        "tracing": True,
        "tracer_provider": provider,
        "operation_spans": False,
        "exclude": _is_unlogged,
    }


def _is_unlogged(scope: MutableMapping[str, Any]) -> bool:
    return scope.get("path") in UNLOGGED_PATHS


@dataclass(frozen=True)
class SpanAttributes:
    """Puts model, version, ids and error of a request on its span."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""

        async def send_described(message: Message) -> None:
            # The span ends with the answer.
            if message["type"] == "http.response.start":
                _describe(context_of(scope))
            await send(message)

        try:
            await self.app(scope, receive, send_described if scope["type"] == "http" else send)
        finally:
            if scope["type"] == "http":
                _describe(context_of(scope))


def _describe(context: RequestContext) -> None:
    span = trace.get_current_span()
    if not span.is_recording():
        return
    attributes = {
        "gateway.request_id": context.request_id,
        "gateway.model": context.model,
        "gateway.version": context.version,
        "gateway.error": context.error,
        "torchserve.request_id": context.torchserve_request_id,
    }
    span.set_attributes({key: value for key, value in attributes.items() if value is not None})


class TracedTransport(httpx.AsyncBaseTransport):
    """An httpx transport that makes a span of every call in a traced request, and passes the context on."""

    def __init__(self, transport: httpx.AsyncBaseTransport, tracer: Tracer) -> None:
        self._transport = transport
        self._tracer = tracer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends one request; the response's body is still to be read."""
        if not trace.get_current_span().get_span_context().is_valid:
            return await self._transport.handle_async_request(request)
        attributes: dict[str, AnyValue] = {
            "http.request.method": request.method,
            "url.full": str(request.url),
            "server.address": request.url.host,
            "server.port": request.url.port or 0,
        }
        with self._tracer.start_as_current_span(
            request.method, kind=SpanKind.CLIENT, attributes=attributes
        ) as span:
            W3C.inject(request.headers)
            if len(request.headers.get("tracestate", "")) > MAX_TRACESTATE_CHARS:
                del request.headers["tracestate"]
            response = await self._transport.handle_async_request(request)
            span.set_attribute("http.response.status_code", response.status_code)
            if response.status_code >= 400:
                span.set_status(StatusCode.ERROR)
            return response

    async def aclose(self) -> None:
        """Closes the transport below."""
        await self._transport.aclose()
