"""Cross-origin requests: which web pages browsers let call the gateway, and with which headers."""

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from torchserve_gateway.gateway.access.auth import HEADER
from torchserve_gateway.settings.gateway import GatewaySettings

# Headers besides those that browsers always allow.
REQUEST_HEADERS = (
    *("Authorization", HEADER, "X-Request-ID", "X-Request-Timeout"),
    *("Cache-Control", "traceparent", "tracestate"),
)
ANSWER_HEADERS = (
    *("X-Request-ID", "X-Model-Name", "X-Model-Version", "X-Cache", "Server-Timing"),
    *("Retry-After", "RateLimit-Policy", "RateLimit", "WWW-Authenticate"),
)


def allow_origins(app: FastAPI, settings: GatewaySettings) -> None:
    """Adds CORS headers if the settings allow any origin."""
    if settings.cors.allow_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors.allow_origins,
            allow_methods=["GET", "POST", "PUT"],
            allow_headers=[*REQUEST_HEADERS, settings.routing_key_header],
            expose_headers=ANSWER_HEADERS,
        )
