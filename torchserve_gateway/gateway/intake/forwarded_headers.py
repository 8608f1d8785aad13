"""Passes headers through the gateway: a client's to the handler, and the handler's to the client."""

import re
from collections.abc import Mapping, Sequence

from fastapi import Request, Response

from torchserve_gateway.gateway.errors import HeadersTooLargeError, MalformedRequestError
from torchserve_gateway.gateway.headers import raw_name
from torchserve_gateway.gateway.http1.strict_protocol import HEADER_NAMES
from torchserve_gateway.settings.gateway import GatewaySettings
from torchserve_gateway.torchserve_api.headers import (
    HOP_BY_HOP,
    INSTRUCTION_PREFIX,
    INSTRUCTIONS,
    RawHeaders,
    named_by_connection,
)
from torchserve_gateway.torchserve_api.inference import Prediction

# TorchServe accepts 8192 bytes of headers; the gateway's own need the rest.
MAX_HEADERS = 100
MAX_HEADER_BYTES = 6144
# Headers of the body, which the gateway rebuilds; credentials for the gateway or the proxy in front of it;
# headers that the gateway acts on; and the trace, which tracing.py continues.
NOT_FORWARDED = frozenset(
    {
        *(b"host", b"content-length", b"content-type", b"content-encoding", b"expect", b"accept-encoding"),
        *(b"authorization", b"x-api-key", b"cookie", b"x-request-id", b"x-request-timeout"),
        *(b"inference-header-content-length", b"traceparent", b"tracestate"),
    }
)
HERE_ONLY = NOT_FORWARDED | HOP_BY_HOP | INSTRUCTIONS
# Headers that the gateway or its server owns, even on answers without them; and headers that would affect
# every page of this origin in a browser.
NOT_ANSWERED = frozenset(
    {
        *(b"x-request-id", b"x-model-name", b"x-model-version", b"server-timing", b"x-cache"),
        *(b"ratelimit", b"ratelimit-policy", b"date", b"server"),
        *(b"set-cookie", b"set-cookie2", b"strict-transport-security", b"alt-svc", b"clear-site-data"),
    }
)
CORS_PREFIX = b"access-control-"
BODILESS = frozenset({204, 205, 304})
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


def forwarded_headers(request: Request, settings: GatewaySettings) -> RawHeaders:
    """Returns the headers for the handler, spelled as the client did: handlers look them up by exact case.

    Raises:
        MalformedRequestError: A header has characters that HTTP does not allow.
        HeadersTooLargeError: The headers exceed TorchServe's limit.
    """
    kept, routing_key = request.scope["headers"], raw_name(settings.routing_key_header)
    named = named_by_connection(kept)
    dropped = HERE_ONLY | named if named else HERE_ONLY
    headers = tuple(
        (spelled, value)
        for spelled, (name, value) in zip(_names_as_sent(request), kept, strict=True)
        if name not in dropped and name != routing_key and not name.startswith(INSTRUCTION_PREFIX)
    )
    for name, value in headers:
        if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
            raise MalformedRequestError(f"the header {_shown(name)} has characters that HTTP does not allow")
    size = sum(len(name) + len(value) + len(": \r\n") for name, value in headers)
    if size > MAX_HEADER_BYTES or len(headers) > MAX_HEADERS:
        largest = _shown(max(headers, key=lambda each: len(each[1]))[0])
        raise HeadersTooLargeError(
            f"{len(headers)} headers with {size} bytes are for the handler, which gets at most {MAX_HEADERS} "
            f"with {MAX_HEADER_BYTES} bytes; the largest is {largest}"
        )
    return headers


def passed_on(prediction: Prediction, ours: Mapping[str, str]) -> Response:
    """Builds the response from the handler's status, body, content type and headers, and our headers."""
    body = b"" if prediction.status in BODILESS else prediction.body
    response = Response(body, prediction.status, headers=ours)
    # Set as a raw header, because Starlette adds a charset to `media_type`.
    if prediction.content_type is not None:
        response.raw_headers.append((b"content-type", prediction.content_type.encode("latin-1")))
    response.raw_headers += [
        (name.lower(), value)
        for name, value in prediction.headers
        if name.lower() not in NOT_ANSWERED
        and not name.lower().startswith(CORS_PREFIX)
        and _VALUE.fullmatch(value)
    ]
    return response


def _names_as_sent(request: Request) -> Sequence[bytes]:
    names = [name for name, _ in request.scope["headers"]]
    sent: list[bytes] = request.scope.get("extensions", {}).get(HEADER_NAMES, {}).get("names", [])
    return sent if [name.lower() for name in sent] == names else names


def _shown(name: bytes) -> str:
    return repr(name[:50].decode("latin-1"))
