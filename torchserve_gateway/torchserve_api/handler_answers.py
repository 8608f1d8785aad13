"""Whose answer it is: a handler may set any status, and TorchServe uses the same ones for its own errors."""

import json
from collections.abc import Mapping

# Everything that went through TorchServe's request handling has it; answers of Netty's (413) and of a
# balancer in front have not.
REQUEST_ID = "x-request-id"
# The names of TorchServe's Java exceptions that its Inference API answers with.
TORCHSERVE_TYPES = frozenset(
    {
        *("BadRequestException", "ErrorDataDecoderException", "InvalidKeyException"),
        *("ConflictStatusException", "InvalidModelVersionException", "MethodNotAllowedException"),
        *("ModelNotFoundException", "ModelVersionNotFoundException", "ResourceNotFoundException"),
        *("RequestTimeoutException", "ServiceUnavailableException"),
    }
)
# What this project's own handler says of a request that it refuses (ts_serialize.image_header.InputError).
INPUT_ERROR_TYPES = frozenset(
    {
        *("BadRequestException", "UndecodableImageException", "UnsupportedImageFormatException"),
        *("TooManyPixelsException", "UnknownClassException"),
    }
)
# Besides these, `InternalServerException` has the status of the handler's PredictionException.
FAILURES = frozenset({500, 503, 507})


def is_handlers(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether an error answer of the Inference API is the handler's own.

    TorchServe's own errors are told by the `type` in their body, which is exactly `{code, type, message}`.
    """
    if REQUEST_ID not in headers:
        return False
    type_ = _error_type(status, body)
    if type_ is None:
        return True
    if type_ == "InternalServerException":
        return status not in FAILURES
    # Any Java exception that TorchServe does not expect is a 500.
    unexpected = status == 500 and type_.endswith("Exception")
    return not unexpected and type_ not in TORCHSERVE_TYPES | INPUT_ERROR_TYPES


def _error_type(status: int, body: bytes) -> str | None:
    """None if the body is not an error of TorchServe's form."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.keys() != {"code", "type", "message"}:
        return None
    return str(content["type"]) if content["code"] == status else None
