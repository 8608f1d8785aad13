"""Reads the body of a request in a handler. Part of the model archive: imports only the standard library."""

import json
from collections.abc import Mapping
from typing import Any

from ts_serialize.request_error import RequestError


class BodyError(RequestError):
    """The request has no body, or its body is not JSON."""

    status = 400
    phrase = "Bad Request"
    type = "MalformedBodyException"


def body_of(request: Mapping[str, Any]) -> Any:
    """Body of a request as TorchServe hands it over, or the field `data` or `body` of a form.

    Bytes, text for a `text/...` content type, or decoded JSON for `application/json`.

    Raises:
        BodyError: there is none.
    """
    for name in ("body", "data"):
        # TorchServe hands an empty form field over as None.
        if request.get(name) is not None:
            return request[name]
    raise BodyError("the request has no body")


def json_body(request: Mapping[str, Any]) -> Any:
    """Body decoded from JSON, whatever its content type: `curl -T` sends none.

    Raises:
        BodyError: the body is missing or not JSON.
    """
    body = body_of(request)
    if not isinstance(body, str | bytes | bytearray):
        return body
    try:
        return json.loads(body)
    # A deeply nested body exhausts the stack.
    except (ValueError, RecursionError) as exc:
        raise BodyError(f"the body is not JSON: {exc}") from exc
