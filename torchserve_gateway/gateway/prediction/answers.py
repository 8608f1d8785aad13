"""Answers of handlers as values of a JSON document; their common headers, and their errors for OpenAPI."""

import base64
import json
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from pydantic_core import from_json

from torchserve_gateway.gateway.intake.forms import media_type
from torchserve_gateway.gateway.intake.handler_bodies import JSON
from torchserve_gateway.gateway.schemas import problems
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.torchserve_api.errors import InvalidAnswerError
from torchserve_gateway.torchserve_api.inference import Prediction

PROBLEMS = problems(400, 404, 408, 413, 414, 415, 422, 431, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Answer:
    """A handler's answer, which may be JSON, text or bytes."""

    value: object
    """The parsed JSON; else the text; else the bytes as base64."""
    body: bytes
    """As the handler gave it."""
    is_base64: bool = False
    """Whether `value` is base64."""

    @classmethod
    def of(cls, prediction: Prediction, *, is_classifiers: bool) -> "Answer":
        """Reads an answer.

        Raises:
            HandlerStatusError: the handler set an error status.
            InvalidAnswerError: it is no prediction; or it is not JSON, but typed as JSON or a classifier's.
        """
        if prediction.error:
            raise prediction.error
        if prediction.status >= 300:
            raise InvalidAnswerError(f"the handler answered {prediction.status}, which is no prediction")
        body, kind = prediction.body, media_type(prediction.content_type or "")
        if not kind.startswith("text/"):
            try:
                return cls(_json(body), body)
            except ValueError as exc:
                if kind == JSON or is_classifiers:
                    raise InvalidAnswerError(f"the model's answer is not JSON: {exc}") from exc
        try:
            return cls(body.decode(), body)
        except UnicodeDecodeError:
            return cls(base64.b64encode(body).decode(), body, is_base64=True)


def _json(body: bytes) -> object:
    # Not Python's own parser: it takes NaN and halves of characters, which no answer of ours can hold.
    answer = from_json(body, allow_inf_nan=False)
    # Nor can it hold 1e999, which becomes infinity.
    json.dumps(answer, allow_nan=False)
    return answer


# A few names are those of nearly all answers.
_quoted = lru_cache(quote)


def prediction_headers(context: RequestContext) -> dict[str, str]:
    """Model, version and timing; quoted, since a handler may name any version."""
    headers = {"X-Model-Name": _quoted(context.model or "", "/"), "Server-Timing": context.server_timing}
    if context.version:
        headers["X-Model-Version"] = _quoted(context.version, ", ")
    return headers
