"""Attacks by ambiguous framing, as for request smuggling."""

from collections import Counter
from collections.abc import Iterable, Sequence

from tools.bench.hostile_clients.attack import NOT_OFFERED, REFUSED, TIMED_OUT, Attack
from tools.bench.hostile_clients.wire import Request, Target, converse, outcomes

SMUGGLED = "smuggled"
"""Model in every request that is hidden in another request's body."""
HIDDEN = Request(path=f"/predictions/{SMUGGLED}", body=b"x").raw
FENCE = Request("GET", "/health/live").raw
"""Ends the conversation, and shows where the previous request ended for the gateway."""
PAUSE_S = 0.02
H2C = (
    (b"Connection", b"Upgrade, HTTP2-Settings"),
    (b"Upgrade", b"h2c"),
    (b"HTTP2-Settings", b"AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"),
)
UPGRADES = (
    H2C,
    (
        (b"Connection", b"upgrade"),
        (b"Upgrade", b"websocket"),
        (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ),
    ((b"Connection", b"Upgrade"), (b"Upgrade", b"TLS/1.0, h2c")),
    ((b"Upgrade", b"h2c"),),
    ((b"Connection", b"Upgrade"),),
)
POST = b"POST /predictions/genre HTTP/1.1\r\n"
HOST = b"Host: gateway\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
AMBIGUOUS = (
    HOST + b"Content-Length: 6\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
    HOST + CHUNKED + b"Content-Length: 6\r\n\r\n0\r\n\r\n" + HIDDEN,
    HOST + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + HIDDEN,
    HOST + b"Content-Length: 0, 44\r\n\r\n" + HIDDEN,
    HOST + b"Content-Length: +5\r\n\r\n" + HIDDEN,
    HOST + b"Content-Length: 0x5\r\n\r\n" + HIDDEN,
    HOST + b"Content-Length: 5 5\r\n\r\n" + HIDDEN,
    HOST + b"Content-Length : 5\r\n\r\n" + HIDDEN,
    HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    HOST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    HOST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    HOST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
    HOST + CHUNKED + b"\r\n-1\r\n\r\n" + HIDDEN,
    HOST + CHUNKED + b"\r\nfffffffffffffffff\r\n" + HIDDEN,
    HOST + CHUNKED + b"\r\n3\r\nabcdef\r\n0\r\n\r\n" + HIDDEN,
    b"Host: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n",
    b"Host: a, b\r\nHost: \r\nContent-Length: 0\r\n\r\n",
    b"Content-Length: 0\r\n\r\n",
    HOST + b"X: a\r\n folded\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
    HOST + b"X\x00: a\r\n\r\n" + HIDDEN,
    HOST + b"X: a\x00b\r\n\r\n" + HIDDEN,
    HOST + b": a\r\n\r\n" + HIDDEN,
)
NO_HTTP = (
    b"GET /health/live\r\n\r\n",
    b"GET /health/live HTTP/0.9\r\n\r\n",
    b"GET /health/live HTTP/2.0\r\nHost: gateway\r\n\r\n",
    b"GET /health/live HTTP/1.1 \r\nHost: gateway\r\n\r\n",
    b"GET  /health/live HTTP/1.1\r\nHost: gateway\r\n\r\n",
    b"GET /health/live HTTP/1.1\nHost: gateway\n\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(30),
    bytes(range(256)) * 8,
    b"\r\n" * 5000,
    b"G" * 100_000,
)


async def _in_packets(target: Target, conversations: Iterable[Sequence[bytes]]) -> Counter[int]:
    return await outcomes(converse(target, *packets, pause_s=PAUSE_S) for packets in conversations)


async def upgrades_with_a_body(target: Target) -> Counter[int]:
    """Bodies of upgrade requests, in any packet: an image, and bytes that look like a request."""
    requests = [
        Request(path=f"/predictions/{model}", headers=headers, body=body, closes=False)
        for headers in UPGRADES
        for model, body in ((target.model, target.image), ("other", HIDDEN))
    ]
    together = [[each.raw, FENCE] for each in requests]
    return await _in_packets(target, together + [[each.head, each.body, FENCE] for each in requests])


async def upgrades_without_a_body(target: Target) -> Counter[int]:
    """Upgrade requests without a body are ordinary requests."""
    requests = [Request("GET", "/health/live", headers=headers, closes=False) for headers in UPGRADES]
    return await _in_packets(target, [[each.raw, FENCE] for each in requests])


async def ambiguous_framing(target: Target) -> Counter[int]:
    """Lengths and codings that servers may read differently."""
    return await _in_packets(target, [[POST + each, FENCE] for each in AMBIGUOUS])


async def no_http(target: Target) -> Counter[int]:
    """Other protocols, other versions of HTTP, and noise."""
    return await _in_packets(target, [[each, FENCE] for each in NO_HTTP])


ATTACKS = (
    Attack("Upgrade with a body", upgrades_with_a_body, frozenset({200, 404})),
    Attack("Upgrade without a body", upgrades_without_a_body, frozenset({200})),
    Attack("ambiguous framing", ambiguous_framing, REFUSED | NOT_OFFERED | TIMED_OUT),
    # Bare line feeds, and HTTP/1.0 without Host, may be accepted.
    Attack("invalid HTTP", no_http, REFUSED | NOT_OFFERED | TIMED_OUT | {200}),
)
