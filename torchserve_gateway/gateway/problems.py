"""Answers of errors: RFC 9457 problem details."""

import logging
import re
from collections.abc import Mapping
from http import HTTPMethod, HTTPStatus
from http.client import responses as phrases

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from torchserve_gateway.gateway.errors import (
    GatewayError,
    ImageFailedError,
    OverloadedError,
    RateLimitedError,
    TooManyFailuresError,
    UnauthenticatedError,
    UnsupportedEncodingError,
    status_of,
)
from torchserve_gateway.gateway.intake.content_codings import SUPPORTED
from torchserve_gateway.gateway.intake.disconnects import CLIENT_CLOSED_REQUEST
from torchserve_gateway.gateway.shortening import shortened
from torchserve_gateway.gateway.telemetry.request_context import context_of
from torchserve_gateway.torchserve_api.errors import (
    HandlerStatusError,
    ModelNotFoundError,
    RefusedError,
    TorchServeError,
)
from ts_serialize.image_header import InputError

logger = logging.getLogger(__name__)

UNFORESEEN = "the gateway failed; see its log"
RETRY_AFTER_S = 1
# Characters of `detail`: quoted parts of a request or of a handler's answer have any length.
MAX_DETAIL_LENGTH = 2_000
TORCHSERVE_PATHS = ("/predictions/", "/explanations/")
ANSWERED = (GatewayError, InputError, TorchServeError)
"""Exceptions of routes that are answered by `answer_error`; others are unforeseen."""
KSERVE_PATHS = ("/v1/", "/v2/")


def problem_of(error: Exception) -> dict[str, object]:
    """Problem details of one image among others of a request."""
    return _problem(status_of(error), f"urn:problem:{_kebab(_type_of(error))}", str(error))


def install_error_handlers(app: FastAPI) -> None:
    """Answers every exception of every route here and nowhere else."""
    for kind in (*ANSWERED, Exception):
        app.add_exception_handler(kind, answer_error)
    app.add_exception_handler(ClientDisconnect, _answer_disconnect)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)


def error_response(
    request: Request,
    status: int,
    type_: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    message: str | None = None,
) -> JSONResponse:
    """One problem document; on paths of other protocols also with the keys that their clients read.

    Args:
        request: The failed request.
        status: HTTP status.
        type_: Type of the error.
        detail: Text for people.
        headers: Headers of the answer.
        message: TorchServe's own text, for its clients; None: as detail.
    """
    context = context_of(request.scope)
    # Not request.url.path, which ends at a `?` that the path has encoded.
    path: str = request.scope["path"]
    is_torchserve_path = path.startswith(TORCHSERVE_PATHS)
    shown_type = type_ if is_torchserve_path else f"urn:problem:{_kebab(type_)}"
    problem = _problem(status, shown_type, detail) | {"request_id": context.request_id}
    if is_torchserve_path:
        problem |= {"code": status, "message": message or problem["detail"]}
    if f"{request.scope['path']}/".startswith(KSERVE_PATHS):
        problem |= {"error": problem["detail"]}
    return JSONResponse(
        problem,
        status,
        dict(headers or {}),
        media_type="application/problem+json",
    )


def answer_error(request: Request, error: Exception) -> JSONResponse:
    """The answer to an exception; an unforeseen exception is a 500 without details."""
    detail = shortened(str(error), MAX_DETAIL_LENGTH)
    if isinstance(error, ImageFailedError):
        error = error.error
    context_of(request.scope).error_type = type(error).__name__
    status = status_of(error)
    if status == 500 and not isinstance(error, HandlerStatusError):
        # The cause goes to the log alone: the text of an unforeseen exception may hold secrets.
        logger.error("unforeseen error", exc_info=error)
        # Answered outside the middleware that sets the id of every other answer.
        ids = {"X-Request-ID": context_of(request.scope).request_id}
        return error_response(request, status, "InternalServerException", UNFORESEEN, ids)
    context_of(request.scope).error = f"{type(error).__name__}: {detail}"
    message = error.message if isinstance(error, ModelNotFoundError) and error.hint else None
    return error_response(request, status, _type_of(error), detail, _headers(status, error), message)


def answer_disconnect(request: Request) -> Response:
    """The answer to a client that has gone, for log and metrics only."""
    context_of(request.scope).error = "the client closed the connection before its request was complete"
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _answer_disconnect(request: Request, _: Exception) -> Response:
    # Asynchronous: Starlette runs other handlers in a thread, and the request is cancelled meanwhile.
    return answer_disconnect(request)


def _answer_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail, headers, path = error.detail, error.headers, request.scope["path"]
    if error.status_code == 404:
        detail = f"there is no {path}; /docs lists what there is"
    if error.status_code == 405:
        headers = {"Allow": ", ".join(_methods(request))}
        detail = f"{request.method} is not offered on {path}, only {headers['Allow']}"
    type_ = HTTPStatus(error.status_code).phrase.replace(" ", "") + "Exception"
    return error_response(request, error.status_code, type_, detail, headers)


def _methods(request: Request) -> list[str]:
    """Methods of the path; Starlette's exception knows only one of its routes."""
    routes, scope = request.app.routes, request.scope
    offered = {
        method
        for method in HTTPMethod
        if any(route.matches({**scope, "method": method})[0] == Match.FULL for route in routes)
    }
    if HTTPMethod.GET in offered:
        offered.add(HTTPMethod.HEAD)
    return sorted(offered)


def _answer_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    detail = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return error_response(request, 400, "BadRequestException", detail)


def _problem(status: int, type_: str, detail: str) -> dict[str, object]:
    # A model may answer with a status that has no name.
    return {
        "type": type_,
        "title": phrases.get(status, "Error"),
        "status": status,
        "detail": shortened(detail, MAX_DETAIL_LENGTH),
    }


def _headers(status: int, error: Exception) -> dict[str, str]:
    if isinstance(error, UnauthenticatedError):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, UnsupportedEncodingError):
        return {"Accept-Encoding": ", ".join(SUPPORTED)}
    headers = {}
    # After 408 the rest of the body is not read; a client that guesses keys has to connect for each guess.
    if status == 408 or isinstance(error, TooManyFailuresError):
        headers["Connection"] = "close"
    if isinstance(error, OverloadedError | RateLimitedError):
        headers["Retry-After"] = str(error.retry_after_s)
    elif status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return headers


def _type_of(error: Exception) -> str:
    """Type as TorchServe or the handler names it, else in their form: BodyTooLargeException."""
    given = error.type if isinstance(error, RefusedError | InputError) else ""
    return given or type(error).__name__.removesuffix("Error") + "Exception"


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name.removesuffix("Exception")).lower()
