"""Everything that goes wrong as one kind of answer: RFC 9457 problem details.

GatewayError
  MalformedRequestError     400
  BodyTooLargeError         413
  NotReadyError             503
  DrainingError             503
  OverloadedError           503
  UpstreamDownError         503
TorchServeError             torchserve_api/errors.py; the table below says which status each becomes
"""

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from gateway.observability import request_record
from torchserve_api.errors import (
    ApiDisabledError,
    DeadlineExceededError,
    HandlerFailedError,
    InvalidAnswerError,
    ModelNotFoundError,
    NoCapacityError,
    OutOfMemoryError,
    RefusedError,
    RequestRefusedError,
    TokenRefusedError,
    TorchServeError,
    UnreachableError,
    VersionConflictError,
    WorkerDiedError,
)

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 1
TORCHSERVE_PATHS = ("/predictions/", "/explanations/")


class GatewayError(Exception):
    """A request that the gateway itself refuses; the message names the value and what would be right."""


class MalformedRequestError(GatewayError):
    """The request is not what this path takes."""


class BodyTooLargeError(GatewayError):
    """The body is over `max_request_bytes`."""


class NotReadyError(GatewayError):
    """A prediction would not be served now."""


class DrainingError(GatewayError):
    """The gateway is about to stop; another one answers."""


class OverloadedError(GatewayError):
    """The request's turn would not come in time. retry_after_s: when it would, as far as one can tell."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UpstreamDownError(GatewayError):
    """TorchServe could not be reached several times in a row, so it is not asked for a moment."""


STATUS: Mapping[type[Exception], int] = {
    MalformedRequestError: 400,
    BodyTooLargeError: 413,
    NotReadyError: 503,
    DrainingError: 503,
    OverloadedError: 503,
    UpstreamDownError: 503,
    UnreachableError: 502,
    InvalidAnswerError: 502,
    DeadlineExceededError: 504,
    ModelNotFoundError: 404,
    VersionConflictError: 409,
    NoCapacityError: 503,
    # Trouble behind the gateway that the caller can do nothing about.
    TokenRefusedError: 502,
    ApiDisabledError: 502,
    HandlerFailedError: 502,
    WorkerDiedError: 502,
    OutOfMemoryError: 502,
    RefusedError: 502,
}


def status_of(error: Exception) -> int:
    """The HTTP status of the answer; what the model refuses keeps the status the handler gave it."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
        if kind is RequestRefusedError and isinstance(error, RefusedError):
            return error.status
    return 500


def install_error_handlers(app: FastAPI) -> None:
    """Every exception of every route ends here and nowhere else."""
    for kind in (GatewayError, TorchServeError, Exception):
        app.add_exception_handler(kind, _answer_error)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)


def error_response(
    request: Request, status: int, type_: str, detail: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """One problem document; on TorchServe's paths with its keys too, for the sake of its clients."""
    record = request_record(request)
    is_torchserve_path = request.url.path.startswith(TORCHSERVE_PATHS)
    problem: dict[str, object] = {
        "type": type_ if is_torchserve_path else f"urn:problem:{_kebab(type_)}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": record.request_id,
    }
    if is_torchserve_path:
        problem |= {"code": status, "message": detail}
    return JSONResponse(
        problem,
        status,
        {"X-Request-ID": record.request_id, **(headers or {})},
        media_type="application/problem+json",
    )


def _answer_error(request: Request, error: Exception) -> JSONResponse:
    request_record(request).error_type = type(error).__name__
    status = status_of(error)
    type_ = (isinstance(error, RefusedError) and error.type) or _exception_name(error)
    if status == 500:
        # The cause goes to the log: an unforeseen exception's text may say what is nobody's business.
        logger.error("unforeseen error", exc_info=error)
        return error_response(request, status, "InternalServerException", "the gateway failed; see its log")
    request_record(request).error = f"{type(error).__name__}: {error}"
    retry_after_s = error.retry_after_s if isinstance(error, OverloadedError) else RETRY_AFTER_S
    headers = {"Retry-After": str(retry_after_s)} if status == 503 else {}
    return error_response(request, status, type_, str(error), headers)


def _answer_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == 404:
        detail = f"there is no {request.url.path}; /docs lists what there is"
    if error.status_code == 405:
        detail = f"{request.method} is not offered on {request.url.path}"
    type_ = HTTPStatus(error.status_code).phrase.replace(" ", "") + "Exception"
    return error_response(request, error.status_code, type_, detail, error.headers)


def _answer_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    detail = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return error_response(request, 400, "BadRequestException", detail)


def _exception_name(error: Exception) -> str:
    """The name TorchServe would give it: BodyTooLargeError -> BodyTooLargeException."""
    return type(error).__name__.removesuffix("Error") + "Exception"


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name.removesuffix("Exception")).lower()
