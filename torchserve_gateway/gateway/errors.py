"""The gateway's errors, and the HTTP status of every error.

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
InputError                  ts_serialize/image_header.py; carries its status, as the handler sends it
TorchServeError             torchserve_api/errors.py; statuses in the table below
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
    """A request that the gateway itself refuses; the message names the value and the remedy."""


class MalformedRequestError(GatewayError):
    """The request has another form than this path takes."""


class UnknownHostError(GatewayError):
    """The request is for a host that is not among `allowed_hosts`."""


class UnauthenticatedError(GatewayError):
    """The path needs an API key, and the request has no valid key."""


class ForbiddenError(GatewayError):
    """The API key is valid and lacks the right for this path."""


class BodyTimeoutError(GatewayError):
    """The body did not arrive within `body_timeout_s`."""


class HeadersTooLargeError(GatewayError):
    """The headers for the handler exceed TorchServe's limit."""


class BodyTooLargeError(GatewayError):
    """The body is over `max_request_bytes`."""


class TooManyFilesError(GatewayError):
    """The request has more files, or images, than the path takes."""


class UnsupportedEncodingError(GatewayError):
    """The body has a Content-Encoding that is not supported."""


class ImageFailedError(GatewayError):
    """One image of several failed, and with it the whole request."""

    def __init__(self, image: str, error: Exception) -> None:
        super().__init__(f"{image}: {error}")
        self.error = error
        """The image's own error."""


class NotReadyError(GatewayError):
    """A prediction would not be served now."""


class UnknownModelError(GatewayError):
    """The model is on no TorchServe and not on record."""


class NameTooLongError(GatewayError):
    """The name of a model or version in the path is too long."""


class DrainingError(GatewayError):
    """The gateway is about to stop; another gateway answers."""


class OverloadedError(GatewayError):
    """The request's turn would not come in time."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """Seconds until it would, as estimated."""


class RateLimitedError(GatewayError):
    """The caller has sent more than its limit allows."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """Seconds until more is left."""


class TooManyFailuresError(RateLimitedError):
    """Too many requests without a valid key came from the address."""


class UpstreamDownError(GatewayError):
    """TorchServe could not be reached several times in a row, so it is left alone for a moment."""


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
    # Trouble behind the gateway, beyond the caller's reach.
    TokenRefusedError: 502,
    ApiDisabledError: 502,
    HandlerFailedError: 502,
    WorkerDiedError: 502,
    OutOfMemoryError: 502,
    RefusedError: 502,
}


def status_of(error: Exception) -> int:
    """HTTP status of the answer; a refusal of the model keeps the handler's status."""
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
