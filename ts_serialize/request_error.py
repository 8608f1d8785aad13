"""Errors of a single request in a batch. Part of the model archive: imports nothing."""


class RequestError(Exception):
    """One request of the batch cannot be answered; its neighbours can.

    Subclasses choose another status.
    """

    status = 422
    """HTTP status of this request's response."""
    phrase = "Unprocessable Entity"
    """Reason phrase of that status."""
    type = "UnprocessableRequestException"
    """TorchServe's `type` key in the error body."""


class PredictionFailedError(RequestError):
    """The handler raised on this request; TorchServe answers so where a handler raises on its batch."""

    status = 503
    phrase = "Service Unavailable"
    type = "InternalServerException"


class NotExplainedError(RequestError):
    """The request asks for an explanation, and the handler has none."""

    status = 501
    phrase = "Not Implemented"
    type = "ExplanationsNotImplementedException"
