"""Request id and log line of every request."""

import os
import re

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from torchserve_gateway.gateway.telemetry.request_context import SCOPE_KEY, RequestContext

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# Machines ask every few seconds; those lines and traces would bury the others.
UNLOGGED_PATHS = frozenset(
    {"/ping", "/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready", "/metrics"}
)
# Logged on every path: guessed keys leave a trail.
REFUSED = frozenset({401, 403, 429})


class RequestLogMiddleware:
    """Makes the context of every request and logs it when the answer is complete."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        # structlog looks its configuration up for every line of a logger that is not bound.
        self._logger = structlog.get_logger("gateway").bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = scope[SCOPE_KEY] = _context(scope)
        # For the lines of other modules and libraries. Never unbound: every request has a task of its own.
        structlog.contextvars.bind_contextvars(request_id=context.request_id)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                headers = [*message["headers"], (b"x-request-id", context.request_id.encode())]
                if context.rate_limits:
                    policies, limits = ", ".join(context.rate_limits), ", ".join(context.rate_limits.values())
                    headers += [(b"ratelimit-policy", policies.encode()), (b"ratelimit", limits.encode())]
                message["headers"] = headers
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            if scope["path"] not in UNLOGGED_PATHS or context.status in REFUSED:
                self._log(scope, context)

    def _log(self, scope: Scope, context: RequestContext) -> None:
        fields = {
            "method": scope["method"],
            "path": scope["path"],
            "status": context.status,
            "duration_ms": _ms(context.elapsed_s),
            "request_id": context.request_id,
            "client": context.client,
            "caller": context.caller,
            "model": context.model,
            "version": context.version,
            "torchserve_ms": _ms(context.torchserve_s),
            "torchserve_request_id": context.torchserve_request_id,
            "cache": context.cache,
            "error": context.error,
        }
        if len(context.answers) == 1:
            [answer] = context.answers
            fields |= {f"{stage}_ms": _ms(seconds) for stage, seconds in answer.stages_s.items()}
            fields["batch_size"] = answer.batch_size
        self._logger.info("request", **{key: value for key, value in fields.items() if value is not None})


def _context(scope: Scope) -> RequestContext:
    # Starlette's Headers go through all of them for every name that is asked for.
    headers = dict(reversed(scope["headers"]))
    sent = headers.get(b"x-request-id", b"").decode("latin-1")
    return RequestContext(
        # Another id could break a log or a header.
        sent if SANE_REQUEST_ID.fullmatch(sent) else os.urandom(16).hex(),
        # uvicorn has put in what a trusted proxy says.
        str(scope["client"][0]) if scope.get("client") else "",
        headers.get(b"cache-control", b"").decode("latin-1"),
        headers,
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
