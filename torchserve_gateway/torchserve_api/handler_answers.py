"""Tells error answers of handlers from TorchServe's own: both use the same statuses."""

import json
from collections.abc import Mapping

# Set by TorchServe's request handling; missing from answers of Netty (413) and of a balancer in front.
REQUEST_ID = "x-request-id"
# Java exceptions that TorchServe's Inference API names in its answers.
TORCHSERVE_TYPES = frozenset(
    {
        *("BadRequestException", "ErrorDataDecoderException", "InvalidKeyException"),
        *("ConflictStatusException", "InvalidModelVersionException", "MethodNotAllowedException"),
        *("ModelNotFoundException", "ModelVersionNotFoundException", "ResourceNotFoundException"),
        *("RequestTimeoutException", "ServiceUnavailableException"),
    }
)
# Types of this project's handler for requests that it refuses (ts_serialize.image_header.InputError).
INPUT_ERROR_TYPES = frozenset(
    {
        *("BadRequestException", "UndecodableImageException", "UnsupportedImageFormatException"),
        *("TooManyPixelsException", "UnknownClassException"),
    }
)
# With any other status, an `InternalServerException` is a handler's PredictionException.
FAILURES = frozenset({500, 503, 507})


def is_handlers(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether an error answer of the Inference API is the handler's own.

    TorchServe's errors have a body of exactly `{code, type, message}`, with a known `type`.
    """
    if REQUEST_ID not in headers:
        return False
    type_ = _error_type(status, body)
    if type_ is None:
        return True
    if type_ == "InternalServerException":
        return status not in FAILURES
    # TorchServe answers 500 with the name of any unexpected Java exception.
    unexpected = status == 500 and type_.endswith("Exception")
    return not unexpected and type_ not in TORCHSERVE_TYPES | INPUT_ERROR_TYPES


def fails_the_batch(status: int, body: bytes) -> bool:
    """Whether an error answer is of an exception in the handler, which every request of the batch gets.

    A `PredictionException` has a status of its own, so that it passes for the handler's answer.
    """
    return status >= 400 and _error_type(status, body) == "InternalServerException"


def _error_type(status: int, body: bytes) -> str | None:
    """Type in an error body of TorchServe's form; None for any other body."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.keys() != {"code", "type", "message"}:
        return None
    return str(content["type"]) if content["code"] == status else None
