"""Attacks by path traversal and by malformed paths."""

from collections import Counter

from tools.bench.hostile_clients.attack import REFUSED, Attack
from tools.bench.hostile_clients.wire import Request, Target, converse, outcomes

DOTS = ("..", "%2e%2e", "%2E.", ".%2e", ".", "%2e", "..%2f..", "%252e%252e", "..;", "%2e%2e%5c", "..%00")
LONG = (
    b"/predictions/" + b"!" * 22_000,
    b"/predictions/" + b"%21" * 7_000,
    b"/predictions/genre/" + b"\xc3\xa9" * 11_000,
    b"/" + b"a/" * 11_000,
    b"/v2/models/" + b"m" * 22_000 + b"/ready",
    b"/predictions/genre?" + b"q=%41&" * 5_000,
    b"/?" + b"x" * 40_000,
)
ODD = (
    b"/predictions/\xff\xfe",
    b"/predictions/%ff%fe",
    b"/predictions/%00",
    b"/predictions/%0d%0aX-Injected:%20yes",
    b"/predictions/%",
    b"/predictions/%zz",
    b"/predictions//genre",
    b"//predictions/genre/x/y",
    b"/predictions/genre%2f1.0%2f..%2f..%2fping",
    b"/predictions/" + "模型".encode(),
    b"/predictions/ genre",
    b"predictions/genre",
    b"*",
    b"http://127.0.0.1:8081/models",
    b"http://127.0.0.1:8081/models?url=http://x/evil.mar",
    b"/predictions/genre#fragment/x/y",
    b"/predictions/@127.0.0.1:8081",
    b"/v1/models/../models:predict",
    b"/models/%2e%2e%2fping",
)


def _beyond(segment: str) -> list[tuple[str, str]]:
    return [
        ("POST", f"/predictions/{segment}/ping"),
        ("POST", f"/predictions/{segment}/invocations"),
        ("POST", f"/predictions/{segment}/models"),
        ("PUT", f"/predictions/{segment}/api-description"),
        ("POST", f"/predictions/genre/{segment}"),
        ("POST", f"/explanations/{segment}/ping"),
        ("GET", f"/v2/models/{segment}"),
        ("GET", f"/v2/models/genre/versions/{segment}/ready"),
        ("GET", f"/v1/models/{segment}"),
        ("GET", f"/models/{segment}"),
    ]


async def dot_segments(target: Target) -> Counter[int]:
    """Dot segments in place of names."""
    # With an image, so that only the path is wrong.
    requests = [
        Request(*each, body=target.image if each[0] != "GET" else b"")
        for dots in DOTS
        for each in _beyond(dots)
    ]
    return await outcomes(converse(target, request.raw) for request in requests)


async def long_paths(target: Target) -> Counter[int]:
    """Paths over the limits of TorchServe, httpx and log lines."""
    requests = [Request(method, path) for path in LONG for method in ("GET", "POST")]
    return await outcomes(converse(target, request.raw) for request in requests)


async def odd_paths(target: Target) -> Counter[int]:
    """Bytes and forms of a target that are not a path of the gateway."""
    requests = [Request(method, path) for path in ODD for method in ("GET", "POST", "DELETE")]
    return await outcomes(converse(target, request.raw) for request in requests)


ATTACKS = (
    Attack("dot segments", dot_segments, frozenset({400, 404, 405})),
    # Queries are not passed on, so a page answers with any query.
    Attack("long paths and queries", long_paths, REFUSED | {200, 307}),
    # An absolute URL counts as its path.
    Attack("odd paths", odd_paths, REFUSED | {200}),
)
