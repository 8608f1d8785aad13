"""Request id and one log line a request."""

import re
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from torchserve_gateway.torchserve_api.inference import Prediction

logger = structlog.get_logger("gateway")

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# Asked every few seconds by machines; nobody reads those lines, nor traces.
UNLOGGED_PATHS = frozenset(
    {"/ping", "/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready", "/metrics"}
)
# Whoever tries keys leaves lines wherever he does so.
REFUSED = frozenset({401, 403, 429})


@dataclass(frozen=True)
class Answered:
    """A prediction or explanation for this request. admission_s: how long it waited to be sent."""

    prediction: Prediction
    admission_s: float


@dataclass
class RequestRecord:
    """What is known of one request; its log line at the end.

    cache_control: the client's header; started: by `perf_counter`, in seconds; version: the one that was
    chosen, then the one that answered; cache: what the response cache did; client: the address; caller: whose
    API key it has; rate_limits: what is left, by policy, both as in their headers; error: for the log;
    error_type: the exception's class.
    """

    request_id: str
    client: str = ""
    cache_control: str = ""
    started: float = field(default_factory=perf_counter)
    answered: list[Answered] = field(default_factory=list)
    status: int = 500
    model: str | None = None
    version: str | None = None
    torchserve_s: float | None = None
    torchserve_request_id: str | None = None
    cache: str | None = None
    caller: str | None = None
    rate_limits: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    error_type: str | None = None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the request's head was read."""
        return perf_counter() - self.started

    @property
    def stages_s(self) -> dict[str, float]:
        """Where the time went so far, seconds by stage; they add up. gateway: all that is nobody else's."""
        if len(self.answered) == 1:
            [answered] = self.answered
            others = {"admission": answered.admission_s, **answered.prediction.stages_s}
        else:
            others = {"torchserve": self.torchserve_s or 0.0}
        return {"gateway": self.elapsed_s - sum(others.values()), **others}

    @property
    def server_timing(self) -> str:
        """The header of that name."""
        return ", ".join(f"{stage};dur={seconds * 1000:.1f}" for stage, seconds in self.stages_s.items())


current_record: ContextVar[RequestRecord] = ContextVar("current_record")
"""The record of the request that this code runs for."""


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
        record = scope["record"] = RequestRecord(
            _request_id(scope), _client(scope), Headers(scope=scope).get("cache-control", "")
        )
        # Never reset: the server runs every request in a context of its own.
        current_record.set(record)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = record.request_id
                if record.rate_limits:
                    headers["RateLimit-Policy"] = ", ".join(record.rate_limits)
                    headers["RateLimit"] = ", ".join(record.rate_limits.values())
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            if scope["path"] not in UNLOGGED_PATHS or record.status in REFUSED:
                _log(scope, record)


def _request_id(scope: Scope) -> str:
    """The client's own, when it is one that cannot break a log or a header; else a new one."""
    sent = Headers(scope=scope).get("x-request-id", "")
    return sent if SANE_REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex


def _client(scope: Scope) -> str:
    """The address that the request comes from; uvicorn has put in what a trusted proxy says."""
    return str(scope["client"][0]) if scope.get("client") else ""


def _log(scope: Scope, record: RequestRecord) -> None:
    fields = {
        "method": scope["method"],
        "path": scope["path"],
        "status": record.status,
        "duration_ms": _ms(record.elapsed_s),
        "request_id": record.request_id,
        "client": record.client,
        "caller": record.caller,
        "model": record.model,
        "version": record.version,
        "torchserve_ms": _ms(record.torchserve_s),
        "torchserve_request_id": record.torchserve_request_id,
        "cache": record.cache,
        "error": record.error,
    }
    if len(record.answered) == 1:
        [answered] = record.answered
        stages = {"admission": answered.admission_s, **answered.prediction.stages_s}
        fields |= {f"{stage}_ms": _ms(seconds) for stage, seconds in stages.items()}
        fields["batch_size"] = answered.prediction.batch_size
    logger.info("request", **{key: value for key, value in fields.items() if value is not None})


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
