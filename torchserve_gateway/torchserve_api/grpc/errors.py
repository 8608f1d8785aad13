"""Translates gRPC's failures into those of torchserve_gateway/torchserve_api/errors.py.

TorchServe's status codes are ambiguous: an unknown model is INTERNAL for a prediction and NOT_FOUND for the
Management API; a handler that raises is UNAVAILABLE, as an absent server is. The text of the error decides.
"""

import grpc

from torchserve_gateway.torchserve_api.errors import (
    ApiDisabledError,
    DeadlineExceededError,
    HandlerFailedError,
    ModelNotFoundError,
    NoCapacityError,
    NotConnectedError,
    RefusedError,
    RequestRefusedError,
    TokenRefusedError,
    TorchServeError,
    UnreachableError,
    VersionConflictError,
    WorkerDiedError,
)

# Fragment of the text, its meaning, and the HTTP status of the REST API.
MEANINGS: tuple[tuple[str, type[RefusedError], int], ...] = (
    ("token authorization failed", TokenRefusedError, 400),
    ("model api disabled", ApiDisabledError, 405),
    ("already registered", VersionConflictError, 409),
    ("not found", ModelNotFoundError, 404),
    ("does not exist", ModelNotFoundError, 404),
    ("worker died", WorkerDiedError, 500),
    ("has no worker", NoCapacityError, 503),
    ("prediction failed", HandlerFailedError, 503),
)
CODES: dict[grpc.StatusCode, tuple[type[RefusedError], int]] = {
    grpc.StatusCode.INVALID_ARGUMENT: (RequestRefusedError, 400),
    grpc.StatusCode.NOT_FOUND: (ModelNotFoundError, 404),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (RequestRefusedError, 413),
    grpc.StatusCode.UNAVAILABLE: (HandlerFailedError, 503),
}
NO_CONNECTION = ("failed to connect", "connection refused", "name resolution", "dns resolution")
BROKEN = ("socket closed", "connection reset", "goaway", "transport closing", "broken pipe")


def translated(error: grpc.aio.AioRpcError, call: str, deadline_s: float) -> TorchServeError:
    """Exception for a failed call. call: name of the method."""
    code, details = error.code(), error.details() or ""
    text, type_ = _split(details)
    lowered = text.lower()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceededError(f"TorchServe did not answer {call} over gRPC within {deadline_s:g} s")
    if code is grpc.StatusCode.UNKNOWN and not text:
        # Unexpected by TorchServe, for example a version that is registered already.
        return RefusedError(500, "", f"TorchServe ended {call} over gRPC without a reason; its log has it")
    for fragment, kind, status in MEANINGS:
        if fragment in lowered:
            return kind(status, type_, text)
    if code is grpc.StatusCode.UNAVAILABLE:
        if any(each in lowered for each in NO_CONNECTION):
            return NotConnectedError(f"TorchServe over gRPC: {text}")
        if any(each in lowered for each in BROKEN):
            return UnreachableError(f"TorchServe over gRPC: {text}")
    kind, status = CODES.get(code, (RefusedError, 500))
    return kind(status, type_ or code.name, text)


def _split(details: str) -> tuple[str, str]:
    """Splits details into TorchServe's sentence and the name of its exception on the line below."""
    text, _, name = details.partition("\n")
    return text.strip(), name.strip().removesuffix(".()").rsplit(".", 1)[-1]
