"""What web pages of other origins may send and see: browsers ask, and keep everybody else's pages out."""

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from torchserve_gateway.gateway.access.auth import HEADER
from torchserve_gateway.settings.gateway import GatewaySettings

# Besides what browsers always let a page send and see.
REQUEST_HEADERS = (
    *("Authorization", HEADER, "X-Request-ID", "X-Request-Timeout"),
    *("Cache-Control", "traceparent", "tracestate"),
)
ANSWER_HEADERS = (
    *("X-Request-ID", "X-Model-Name", "X-Model-Version", "X-Cache", "Server-Timing"),
    *("Retry-After", "RateLimit-Policy", "RateLimit", "WWW-Authenticate"),
)


def allow_origins(app: FastAPI, settings: GatewaySettings) -> None:
    """Adds the middleware that tells browsers, if there is anybody to allow."""
    if settings.cors.allow_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors.allow_origins,
            allow_methods=["GET", "POST", "PUT"],
            allow_headers=[*REQUEST_HEADERS, settings.routing_key_header],
            expose_headers=ANSWER_HEADERS,
        )
