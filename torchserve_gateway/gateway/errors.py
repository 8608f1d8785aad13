"""What goes wrong in the gateway, and the HTTP status of everything that does.

GatewayError
  MalformedRequestError     400
  UnknownHostError          400
  UnauthenticatedError      401
  ForbiddenError            403
  BodyTimeoutError          408
  BodyTooLargeError         413
  TooManyFilesError         413
  ImageFailedError          as the error of the image
  UnsupportedEncodingError  415
  UnknownModelError         404
  NameTooLongError          414
  HeadersTooLargeError      431
  RateLimitedError          429
    TooManyFailuresError    429
  NotReadyError             503
  DrainingError             503
  OverloadedError           503
  UpstreamDownError         503
InputError                  ts_serialize/image_header.py; has its own status, the same from the handler
TorchServeError             torchserve_api/errors.py; the table below says which status each becomes
"""

from collections.abc import Mapping

from torchserve_gateway.torchserve_api.errors import (
    ApiDisabledError,
    DeadlineExceededError,
    FormRefusedError,
    HandlerFailedError,
    HandlerStatusError,
    InvalidAnswerError,
    InvalidRequestError,
    ModelNotFoundError,
    NoCapacityError,
    OutOfMemoryError,
    RefusedError,
    RequestRefusedError,
    TokenRefusedError,
    UnreachableError,
    VersionConflictError,
    WorkerDiedError,
)
from ts_serialize.image_header import InputError


class GatewayError(Exception):
    """A request that the gateway itself refuses; the message names the value and what would be right."""


class MalformedRequestError(GatewayError):
    """The request is not what this path takes."""


class UnknownHostError(GatewayError):
    """The request is for a host that is not among `allowed_hosts`."""


class UnauthenticatedError(GatewayError):
    """The path needs an API key, and the request has none, or one that is not valid."""


class ForbiddenError(GatewayError):
    """The API key is valid, but not for this."""


class BodyTimeoutError(GatewayError):
    """The body did not arrive within `body_timeout_s`."""


class HeadersTooLargeError(GatewayError):
    """The headers for the handler are more than TorchServe takes."""


class BodyTooLargeError(GatewayError):
    """The body is over `max_request_bytes`."""


class TooManyFilesError(GatewayError):
    """The request has more files, or images, than the path takes."""


class UnsupportedEncodingError(GatewayError):
    """The body has a Content-Encoding that is not undone."""


class ImageFailedError(GatewayError):
    """One image of several has no answer, where an answer is for all of them or none.

    image: what to call it; error: its own.
    """

    def __init__(self, image: str, error: Exception) -> None:
        super().__init__(f"{image}: {error}")
        self.error = error


class NotReadyError(GatewayError):
    """A prediction would not be served now."""


class UnknownModelError(GatewayError):
    """No TorchServe has a version of the model, and none is on record."""


class NameTooLongError(GatewayError):
    """The path has a model or version with more characters than a name may have."""


class DrainingError(GatewayError):
    """The gateway is about to stop; another one answers."""


class OverloadedError(GatewayError):
    """The request's turn would not come in time. retry_after_s: when it would, as far as one can tell."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimitedError(GatewayError):
    """The caller has sent more than its limit allows. retry_after_s: until more is left."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyFailuresError(RateLimitedError):
    """From the caller's address come too many requests without a valid key."""


class UpstreamDownError(GatewayError):
    """TorchServe could not be reached several times in a row, so it is not asked for a moment."""


STATUS: Mapping[type[Exception], int] = {
    MalformedRequestError: 400,
    UnknownHostError: 400,
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    BodyTimeoutError: 408,
    BodyTooLargeError: 413,
    TooManyFilesError: 413,
    UnsupportedEncodingError: 415,
    UnknownModelError: 404,
    NameTooLongError: 414,
    RateLimitedError: 429,
    HeadersTooLargeError: 431,
    NotReadyError: 503,
    DrainingError: 503,
    OverloadedError: 503,
    UpstreamDownError: 503,
    UnreachableError: 502,
    InvalidAnswerError: 502,
    DeadlineExceededError: 504,
    FormRefusedError: 400,
    InvalidRequestError: 400,
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
    if isinstance(error, InputError):
        return error.status
    if isinstance(error, ImageFailedError):
        return status_of(error.error)
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
        if kind in (RequestRefusedError, HandlerStatusError) and isinstance(error, RefusedError):
            return error.status
    return 500
