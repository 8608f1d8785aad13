"""Attacks by values that reach TorchServe's request or the gateway's tables."""

import itertools
import json
from collections import Counter

from tools.bench.hostile_clients.attack import NOT_OFFERED, REFUSED, Attack
from tools.bench.hostile_clients.wire import Request, Target, converse, outcomes

ROUND = 25
NAMES = 30
# Over the limits of TorchServe's HTTP library for a request line and for all headers.
LONG_NAME, LONG_VALUE = "m" * 5000, b"image/" + b"x" * 9000
numbers = itertools.count()
"""Makes names unique over all rounds."""

IMPOSSIBLE_TYPES = (
    b"image/\x01jpeg",
    b"image/\xff\xfe",
    b"\xc3\xa9/\xe2\x82\xac",
    b"image/jpeg\x7f",
    b"/",
    b"image",
    b"image/jpeg, image/png",
    b"image/jpeg;" + b"a=b;" * 3000,
    b"multipart/form-data; boundary=" + b"b" * 9000,
)


async def _send(target: Target, request: Request) -> Counter[int]:
    return await outcomes(converse(target, request.raw) for _ in range(ROUND))


async def long_model_names(target: Target) -> Counter[int]:
    """Request lines on which TorchServe closes the connection."""
    return await _send(target, Request(path=f"/predictions/{LONG_NAME}", body=target.image))


async def long_versions(target: Target) -> Counter[int]:
    """Long versions of an existing model."""
    return await _send(target, Request(path=f"/predictions/{target.model}/{LONG_NAME}", body=target.image))


async def long_content_types(target: Target) -> Counter[int]:
    """Heads on which TorchServe closes the connection."""
    headers = [(b"Content-Type", LONG_VALUE)]
    return await _send(
        target, Request(path=f"/predictions/{target.model}", headers=headers, body=target.image)
    )


async def spaced_content_types(target: Target) -> Counter[int]:
    """White space around a value, which is not part of it."""
    headers = [(b"Content-Type", b" \t image/jpeg \t ")]
    return await _send(
        target, Request(path=f"/predictions/{target.model}", headers=headers, body=target.image)
    )


async def impossible_content_types(target: Target) -> Counter[int]:
    """Invalid types for an unconfigured model, whose bodies the gateway does not inspect."""
    path = f"/predictions/other-{next(numbers)}"
    requests = [Request(path=path, headers=[(b"Content-Type", each)], body=b"x") for each in IMPOSSIBLE_TYPES]
    return await outcomes(converse(target, request.raw) for request in requests * 3)


async def long_targets(target: Target) -> Counter[int]:
    """Long classes to explain, in a form and in JSON."""
    name = "x" * 20_000
    form = b'--b\r\nContent-Disposition: form-data; name="target"\r\n\r\n' + name.encode() + b"\r\n"
    form += (
        b'--b\r\nContent-Disposition: form-data; name="data"; filename="a"\r\n\r\n'
        + target.image
        + b"\r\n--b--\r\n"
    )
    path = f"/explanations/{target.model}"
    requests = [
        Request(path=path, headers=[(b"Content-Type", b"multipart/form-data; boundary=b")], body=form),
        Request(
            path=path,
            headers=[(b"Content-Type", b"application/json")],
            body=json.dumps({"data": "aGVsbG8=", "target": name}).encode(),
        ),
    ]
    return await outcomes(converse(target, request.raw) for request in requests * 10)


async def invented_names(target: Target) -> Counter[int]:
    """New models, versions, paths and header names in every request, on a few connections."""

    def batch(number: int) -> bytes:
        requests = [
            Request(path=f"/predictions/model-{number}", body=b"x", closes=False),
            Request(path=f"/predictions/{target.model}/{number}.0", body=target.image, closes=False),
            Request(path=f"/explanations/model-{number}/{number}", body=b"x", closes=False),
            Request("GET", f"/models/model-{number}", closes=False),
            Request("GET", f"/v2/models/model-{number}/ready", closes=False),
            Request("GET", f"/path-{number}", closes=False),
            Request("GET", "/health/live", headers=[(b"X-Header-%d" % number, b"x")], closes=False),
        ]
        return b"".join(request.raw for request in requests)

    last = Request("GET", "/health/live").raw
    return await outcomes(converse(target, batch(next(numbers)) * 2 + last) for _ in range(NAMES))


async def invented_methods(target: Target) -> Counter[int]:
    """New methods in every request, and methods of HTTP and WebDAV."""
    known = ("OPTIONS", "TRACE", "CONNECT", "PATCH", "PROPFIND", "PURGE", "get")
    methods = [*known, *(f"M{next(numbers)}" for _ in range(NAMES))]
    requests = [Request(method, "/predictions/genre") for method in methods]
    return await outcomes(converse(target, request.raw) for request in requests)


ATTACKS = (
    Attack("model names of 5,000 characters", long_model_names, REFUSED),
    Attack("versions of 5,000 characters", long_versions, REFUSED),
    Attack("Content-Types of 9,000 bytes", long_content_types, REFUSED),
    Attack("Content-Types with spaces around them", spaced_content_types, frozenset({200})),
    Attack("invalid Content-Types", impossible_content_types, REFUSED),
    Attack("long targets of explanations", long_targets, REFUSED),
    Attack("another name in every request", invented_names, frozenset({200, 404})),
    Attack("another method in every request", invented_methods, REFUSED | NOT_OFFERED),
)
