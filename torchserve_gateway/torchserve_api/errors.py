"""TorchServe's failures as exceptions.

    TorchServeError
      InvalidRequestError         HTTP cannot carry the request, so it was not sent
      UnreachableError            no connection, or it broke before the answer was complete
        NotConnectedError           no connection, so the request was not sent
      InvalidAnswerError          an answer that is not TorchServe's
      DeadlineExceededError       no answer in time
      RefusedError                an answer with an error status
        RequestRefusedError         4xx: the request is wrong; TorchServe and the model are fine
          ModelNotFoundError          no such model or version, or no such archive
          VersionConflictError        this version is registered already
          FormRefusedError            TorchServe cannot read the form (it says 500)
        TokenRefusedError           token missing, wrong or expired (TorchServe says 400, not 401)
        ApiDisabledError            405: the model API is switched off
        NoCapacityError             the queue is full or there is no worker; the job never ran
        HandlerFailedError          the handler raised; the whole batch failed
        WorkerDiedError             crash, time-out or kill while the batch ran
        OutOfMemoryError            the worker reports it
        ArchiveExistsError          the model store has a file of the same name already
        HandlerStatusError          the handler's own error status, where its answer cannot be passed on

Statuses and types as TorchServe 0.12.0 sends them; its 503, 500 and 507 are not specific.
"""

import json
from typing import Any


class TorchServeError(Exception):
    """Anything that keeps TorchServe from giving the wanted answer."""


class InvalidRequestError(TorchServeError):
    """A value of the request fits into no path or header, so the request was not sent."""


class UnreachableError(TorchServeError):
    """TorchServe could not be connected to, or the connection broke before its answer was complete."""


class NotConnectedError(UnreachableError):
    """TorchServe could not be connected to. The job never ran, so asking again is safe."""


class InvalidAnswerError(TorchServeError):
    """The answer is not TorchServe's."""


class DeadlineExceededError(TorchServeError):
    """No complete answer within the deadline; TorchServe never answers some requests."""


class RefusedError(TorchServeError):
    """TorchServe answered with an error.

    Attributes:
        status: HTTP status.
        type: TorchServe's name of the error.
        message: TorchServe's text.
    """

    def __init__(self, status: int, type_: str, message: str) -> None:
        super().__init__(message or f"TorchServe answered {status} {type_}")
        self.status = status
        self.type = type_
        self.message = message


class RequestRefusedError(RefusedError):
    """4xx: the request is wrong, TorchServe and the model are fine."""


class ModelNotFoundError(RequestRefusedError):
    """No such model, version or archive.

    Attributes:
        hint: What helps, for the end of the text; empty: nothing is known.
    """

    def __init__(self, status: int, type_: str, message: str, hint: str = "") -> None:
        super().__init__(status, type_, message)
        self.hint = hint

    def __str__(self) -> str:
        """TorchServe's text, and the hint behind it."""
        return f"{super().__str__()}; {self.hint}" if self.hint else super().__str__()


class VersionConflictError(RequestRefusedError):
    """The version is registered already."""


class FormRefusedError(RequestRefusedError):
    """TorchServe cannot read the form that was sent."""


class TokenRefusedError(RefusedError):
    """TorchServe requires a token, and the request had no valid token."""


class ApiDisabledError(RefusedError):
    """Registering and unregistering are off: `enable_model_api` in TorchServe's configuration."""


class NoCapacityError(RefusedError):
    """The job queue is full or no worker runs. The job never ran, so asking again is safe."""


class HandlerFailedError(RefusedError):
    """The handler raised an exception, which fails every request of the batch."""


class WorkerDiedError(RefusedError):
    """The worker crashed, was killed, or was stopped after `response_timeout`, with its whole batch."""


class OutOfMemoryError(RefusedError):
    """The worker ran out of memory on this batch."""


class ArchiveExistsError(RefusedError):
    """TorchServe downloads no archive if its model store has a file of that name."""


class HandlerStatusError(RefusedError):
    """The handler answered with an error status of its own."""


def refusal(status: int, body: bytes) -> RefusedError:
    """Reads an error answer of either API."""
    content = _error_body(body)
    if status == 413 and not body:
        content = {"message": "TorchServe answered 413: the body is over its max_request_size"}
    type_, message = str(content.get("type", "")), str(content.get("message", ""))
    return _kind(status, type_, message)(status, type_, message)


def _error_body(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        return {"message": body[:200].decode(errors="replace")}
    return content if isinstance(content, dict) else {"message": str(content)[:200]}


_BY_STATUS = {
    404: ModelNotFoundError,
    405: ApiDisabledError,
    409: VersionConflictError,
    503: HandlerFailedError,
    507: OutOfMemoryError,
}
_BY_TYPE = {
    "ErrorDataDecoderException": FormRefusedError,
    "InvalidKeyException": TokenRefusedError,
    "ServiceUnavailableException": NoCapacityError,
}


def _kind(status: int, type_: str, message: str) -> type[RefusedError]:
    # Without a type, the status may be a handler's or a balancer's.
    by_status = _BY_STATUS if type_ else {}
    # "Worker died." has status 500 or 507.
    if message.startswith("Worker died"):
        return WorkerDiedError
    if message.startswith("Model file already exists"):
        return ArchiveExistsError
    if type_ in _BY_TYPE:
        return _BY_TYPE[type_]
    return by_status.get(status, RequestRefusedError if status < 500 else RefusedError)
