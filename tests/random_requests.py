"""Requests that are HTTP/1.1, or nearly, as the bytes that a client sends."""

from hypothesis import strategies as st

from tests.encoded_images import SMALL
from tests.random_forms import FORMS
from tools.bench.hostile_clients.framing import HIDDEN

IMAGE = SMALL["JPEG"]
METHODS = st.sampled_from([b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH", b"BREW"])
DOTS = st.sampled_from([b"..", b".", b"%2e%2e", b"%2E", b".%2e", b"%2e%2e%2f%2e%2e"])
SEGMENTS = st.one_of(
    DOTS,
    st.sampled_from(
        [
            *(b"predictions", b"explanations", b"predict", b"batch", b"v1", b"v2", b"models", b"versions"),
            *(
                b"genre",
                b"1.0",
                b"genre:predict",
                b"infer",
                b"ready",
                b"ping",
                b"metrics",
                b"health",
                b"live",
            ),
            *(b"%2f", b"%00", b"%", b"%zz", b"", b"docs", b"openapi.json"),
        ]
    ),
    st.text(max_size=8).map(str.encode),
    st.binary(max_size=8).map(lambda raw: b"".join(b"%%%02x" % byte for byte in raw)),
    st.binary(max_size=8),
    st.integers(1, 9000).map(lambda length: b"m" * length),
)
QUERIES = st.sampled_from([b"", b"?", b"?target=Horror", b"?a=%", b"?a=b&c=%00"]) | st.binary(max_size=9)
PATHS = st.builds(
    lambda segments, query: b"/" + b"/".join(segments) + query, st.lists(SEGMENTS, max_size=5), QUERIES
)
TEMPLATES = st.sampled_from(
    [
        *(b"/predictions/%s", b"/predictions/genre/%s", b"/predictions/%s/ping", b"/predictions/%s/models"),
        *(
            b"/explanations/%s",
            b"/models/%s",
            b"/v1/models/%s:predict",
            b"/v2/models/genre/versions/%s/ready",
        ),
    ]
)
PLACES = st.builds(lambda template, segment: template.replace(b"%s", segment), TEMPLATES, SEGMENTS)
"""Paths with a segment that may be anything, in a place where a name is expected."""
ROUTES = st.sampled_from(
    [
        *(b"/predict", b"/predict/batch", b"/predictions/genre", b"/predictions/genre/1.0"),
        *(b"/predictions/other", b"/explanations/genre", b"/v1/models/genre:predict"),
        *(b"/v2/models/genre/infer", b"/v2/models/genre/versions/1.0/ready", b"/models", b"/health/ready"),
    ]
)
NAMES = st.sampled_from(
    [
        *(b"Content-Type", b"content-encoding", b"Upgrade", b"HTTP2-Settings", b"TE", b"Trailer"),
        *(b"Accept", b"Authorization", b"X-API-Key", b"X-Request-ID", b"X-Request-Timeout", b"X-Routing-Key"),
        *(b"X-Forwarded-For", b"Inference-Header-Content-Length", b"traceparent", b"Cache-Control"),
        *(b"Origin", b"Access-Control-Request-Method", b"Cookie", b"Range", b"Keep-Alive"),
    ]
)
VISIBLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30).map(str.encode)
VALUES = st.sampled_from(
    [
        *(b"image/jpeg", b"application/json", b"multipart/form-data; boundary=b", b"text/plain;charset=x"),
        *(
            b"application/x-www-form-urlencoded",
            b"gzip",
            b"br",
            b"identity",
            b"h2c",
            b"websocket",
            b"trailers",
        ),
        *(
            b"0",
            b"-1",
            b"0.5",
            b"nan",
            b"1e999",
            b"99999999999999999999",
            b" ",
            b"no-cache",
            b"Bearer x",
            b"*",
        ),
    ]
)
UPGRADES = st.tuples(
    st.tuples(st.just(b"Connection"), st.sampled_from([b"Upgrade, HTTP2-Settings", b"upgrade", b"close"])),
    st.tuples(st.just(b"Upgrade"), st.sampled_from([b"h2c", b"websocket", b"TLS/1.0"])),
)
FIELDS = st.lists(st.tuples(NAMES, VALUES | VISIBLE), max_size=5)
HARMLESS = FIELDS | st.builds(lambda upgrade, fields: [*upgrade, *fields], UPGRADES, FIELDS)
"""Headers that say nothing of where the request ends."""
WILD = st.lists(
    st.tuples(NAMES | st.binary(max_size=12), VALUES | VISIBLE | st.binary(max_size=30)), max_size=5
)
BODIES = st.one_of(
    st.sampled_from(
        [IMAGE, b"", HIDDEN, b'{"instances": ["aGVsbG8="]}', b'{"data": "", "target": 1}', b"[" * 999]
    ),
    FORMS,
    st.binary(max_size=60),
)


def chunked(body: bytes, size: int) -> bytes:
    """In chunks of so many bytes."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def framed(body: bytes, chunk: int | None) -> bytes:
    """The headers that announce the body, the empty line, and the body. chunk: None for a Content-Length."""
    if chunk is None:
        return b"Content-Length: %d\r\n\r\n" % len(body) + body
    return b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body, chunk)


FRAMED = st.builds(framed, BODIES, st.none() | st.integers(1, 5000))
MISFRAMED = st.builds(
    lambda announced, body: announced + b"\r\n" + body,
    st.sampled_from(
        [
            *(b"", b"Content-Length: 5\r\n", b"Content-Length: 99999\r\n", b"Content-Length: -1\r\n"),
            *(b"Content-Length: 3\r\nContent-Length: 4\r\n", b"Transfer-Encoding: gzip, chunked\r\n"),
            *(b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", b"Transfer-Encoding: identity\r\n"),
            *(b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\nContent-Length: 9\r\n"),
            *(
                b"Host: other\r\n",
                b"Connection: close\r\n",
                b"X: a\r\n b\r\n",
                b"Content-Length: 99999999\r\n",
            ),
        ]
    ),
    BODIES,
)


def request(method: bytes, path: bytes, headers: list[tuple[bytes, bytes]], rest: bytes) -> bytes:
    """rest: what comes behind the headers, with the headers of the body in front."""
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    return b"%s %s HTTP/1.1\r\nHost: gateway\r\n%s%s" % (method, path, lines, rest)


HIDING = st.builds(
    request,
    st.just(b"POST"),
    st.just(b"/predictions/other"),
    HARMLESS,
    st.builds(framed, st.just(HIDDEN), st.none() | st.integers(1, 80)),
)
"""Requests with another one as their body, which is rightly framed."""
TYPES = st.one_of(
    st.sampled_from([b" image/jpeg ", b"image/" + b"x" * 9000, b"a/b;" + b"c=d;" * 3000, b"image"]),
    VISIBLE,
    st.binary(max_size=20),
)
REQUESTS = st.one_of(
    st.builds(request, st.just(b"POST") | METHODS, PLACES, HARMLESS, FRAMED),
    st.builds(
        request,
        st.just(b"POST"),
        st.just(b"/predictions/other"),
        TYPES.map(lambda content_type: [(b"Content-Type", content_type)]),
        FRAMED,
    ),
    st.builds(request, METHODS, ROUTES, HARMLESS, FRAMED),
    st.builds(request, METHODS | st.binary(max_size=8), PATHS | ROUTES, WILD, FRAMED | MISFRAMED),
    st.binary(max_size=200),
)
CUTS = st.lists(st.integers(1, 400), max_size=6)
"""Lengths of packets; what is left over is the last one."""


def packets(raw: bytes, cuts: list[int]) -> list[bytes]:
    """The same bytes in several packets."""
    found = []
    for cut in cuts:
        found.append(raw[:cut])
        raw = raw[cut:]
    return [packet for packet in (*found, raw) if packet] or [b""]
