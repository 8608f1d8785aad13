"""Request id and one log line a request."""

import logging
import re
import uuid
from dataclasses import dataclass, field
from time import perf_counter

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = structlog.get_logger("gateway")

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# Asked every few seconds by machines; nobody reads those lines.
UNLOGGED_PATHS = frozenset({"/ping", "/health/live", "/health/ready"})


@dataclass
class RequestRecord:
    """What is known of one request; its log line at the end. started: by `perf_counter`, in seconds."""

    request_id: str
    started: float = field(default_factory=perf_counter)
    status: int = 500
    model: str | None = None
    version: str | None = None
    torchserve_s: float | None = None
    torchserve_request_id: str | None = None
    error: str | None = None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the request's head was read."""
        return perf_counter() - self.started


def request_record(request: Request) -> RequestRecord:
    """The record that the middleware made for this request."""
    record = request.scope["record"]
    assert isinstance(record, RequestRecord)
    return record


@dataclass(frozen=True)
class RequestLogMiddleware:
    """Gives every request an id and logs it when its answer is complete."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection event as ASGI wants it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        record = scope["record"] = RequestRecord(_request_id(scope))

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = record.request_id
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            if scope["path"] not in UNLOGGED_PATHS:
                _log(scope, record)


def _request_id(scope: Scope) -> str:
    """The client's own, when it is one that cannot break a log or a header; else a new one."""
    sent = Headers(scope=scope).get("x-request-id", "")
    return sent if SANE_REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex


def _log(scope: Scope, record: RequestRecord) -> None:
    fields = {
        "method": scope["method"],
        "path": scope["path"],
        "status": record.status,
        "duration_ms": round(record.elapsed_s * 1000, 1),
        "request_id": record.request_id,
        "model": record.model,
        "version": record.version,
        "torchserve_ms": None if record.torchserve_s is None else round(record.torchserve_s * 1000, 1),
        "torchserve_request_id": record.torchserve_request_id,
        "error": record.error,
    }
    logger.info("request", **{key: value for key, value in fields.items() if value is not None})


def configure_logging(log_format: str) -> None:
    """Log lines on stdout, for people (`console`) or for machines (`json`)."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    )
    # What it says of a form that cannot be read, the request's own line says.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(),
    )
