"""Attacks by bodies that cost the server more than the client, and by text that must not reach a log."""

import gzip
import json
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import cache

from tools.bench.hostile_clients.attack import NOT_OFFERED, REFUSED, TIMED_OUT, Attack
from tools.bench.hostile_clients.wire import Request, Target, converse, outcomes

FORM = (b"Content-Type", b"multipart/form-data; boundary=b")
JSON = (b"Content-Type", b"application/json")
MIB = 1 << 20
BOMB_BYTES = 256 * MIB
TEXT_BYTES = 2_000_000
SIDES = ((1, 8000), (1, 65_000), (65_000, 1), (7000, 7000), (30_000, 30_000))
ROUTES = (
    "/predict",
    "/predict/batch",
    "/predictions/genre",
    "/predictions/other",
    "/v1/models/genre:predict",
)


def deflated_zeros(size: int) -> bytes:
    """Zeros as raw deflate, from one compressed MiB: compressing all of them takes seconds."""
    block, end = (zlib.compressobj(9, wbits=-zlib.MAX_WBITS) for _ in range(2))
    mib = block.compress(bytes(MIB)) + block.flush(zlib.Z_FULL_FLUSH)
    return mib * (size // MIB) + end.compress(bytes(size % MIB)) + end.flush()


def zlib_zeros(size: int) -> bytes:
    """Zeros as a zlib stream."""
    # Adler-32: the first sum stays 1, the second counts the bytes.
    return b"\x78\xda" + deflated_zeros(size) + struct.pack(">L", size % 65_521 << 16 | 1)


def gzip_zeros(size: int) -> bytes:
    """Zeros as a gzip file."""
    checksum = 0
    for _ in range(size // MIB):
        checksum = zlib.crc32(bytes(MIB), checksum)
    checksum = zlib.crc32(bytes(size % MIB), checksum)
    header = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    return header + deflated_zeros(size) + struct.pack("<LL", checksum, size % (1 << 32))


@cache
def bombs() -> dict[bytes, bytes]:
    """Decompression bombs by content coding."""
    packed = gzip_zeros(BOMB_BYTES)
    return {b"gzip": packed, b"gzip, gzip": gzip.compress(packed), b"deflate": zlib_zeros(64 * MIB)}


def form_of(field: bytes, file_name: bytes, content: bytes) -> bytes:
    """A form with a single file."""
    disposition = b'Content-Disposition: form-data; name="%s"; filename="%s"' % (field, file_name)
    return b"--b\r\n%s\r\n\r\n%s\r\n--b--\r\n" % (disposition, content)


def blank(width: int, height: int) -> bytes:
    """A black PNG of one bit per pixel in few bytes."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib_zeros(height * (1 + -(-width // 8)))
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


async def compressed_bombs(target: Target) -> Counter[int]:
    """Megabytes of zeros in a few kilobytes, on every route that reads a body."""

    def requests() -> Iterator[Request]:
        for coding, body in bombs().items():
            for path in ROUTES:
                headers = [(b"Content-Encoding", coding), FORM if path.startswith("/predict/") else JSON]
                yield Request(path=path, headers=headers, body=body)

    return await outcomes(converse(target, request.raw) for request in requests())


async def large_images_in_few_bytes(target: Target) -> Counter[int]:
    """Thin images, which resizing makes huge, and images of too many pixels."""
    requests = [Request(path=f"/predictions/{target.model}", body=blank(*side)) for side in SIDES]
    return await outcomes(converse(target, request.raw) for request in requests * 4)


async def large_bodies(target: Target) -> Counter[int]:
    """Bodies over the limit, with a length and in chunks."""
    body = bytes(8 << 20)
    chunks = b"".join(b"100000\r\n" + body[: 1 << 20] + b"\r\n" for _ in range(8)) + b"0\r\n\r\n"
    coding = [(b"Transfer-Encoding", b"chunked")]
    announced = Request(path=f"/predictions/{target.model}", body=body)
    chunked = Request(path=f"/predictions/{target.model}", headers=coding, body=chunks, framed=False)
    return await outcomes(converse(target, request.raw) for request in (announced, chunked) * 4)


async def large_bodies_that_torchserve_refuses(target: Target) -> Counter[int]:
    """Each body is in memory until TorchServe answers that the model does not exist."""
    raw = Request(path="/predictions/other", body=bytes(6_000_000)).raw
    return await outcomes(converse(target, raw) for _ in range(15))


async def long_texts(target: Target) -> Counter[int]:
    """Names of files, fields, ids and keys that an error or a log line may quote."""
    text = b"<script>\x1b[31m" + b"x" * TEXT_BYTES
    line = b"x" * 20_000
    image = target.image
    requests = (
        Request(path="/predict", headers=[FORM], body=form_of(b"file", text, b"no image")),
        Request(path="/predict", headers=[FORM], body=form_of(text, b"a.jpg", image)),
        Request(path="/predict/batch", headers=[FORM], body=form_of(b"files", text, b"no image")),
        Request(path="/predictions/genre", headers=[JSON], body=json.dumps({"x" * TEXT_BYTES: 1}).encode()),
        Request(
            path="/explanations/genre",
            headers=[FORM],
            body=form_of(b"data", b"a", image)[:-7]
            + b'--b\r\nContent-Disposition: form-data; name="target"\r\n\r\n'
            + text
            + b"\r\n--b--\r\n",
        ),
        Request(
            path="/v2/models/genre/infer", body=json.dumps({"id": "x" * TEXT_BYTES, "inputs": []}).encode()
        ),
        Request(path="/v1/models/genre:predict", body=json.dumps({"instances": ["x" * TEXT_BYTES]}).encode()),
        Request("GET", b"/" + line, headers=[(b"X-Request-ID", line), (b"X-Routing-Key", line)]),
        Request(b"M" * 20_000, "/predict"),
        Request(path="/predictions/genre", headers=[(b"X-Request-Timeout", line)], body=image),
    )
    return await outcomes(converse(target, request.raw) for request in requests * 2)


async def nested_json(target: Target) -> Counter[int]:
    """Nesting too deep for a recursive parser, and numbers out of range."""
    bodies = (
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"data": ' + b"9" * 100_000 + b"}",
        b'{"data": 1e999999, "instances": [NaN], "inputs": [{"shape": [-1e308]}]}',
        b'{"inputs": [{"name": "i", "datatype": "BYTES", "shape": [99999999999999999999], "data": []}]}',
        b'{"data": "\\ud800"}',
        b"\xff\xfe{\x00}\x00",
    )
    paths = ("/predictions/genre", "/v1/models/genre:predict", "/v2/models/genre/infer")
    requests = [Request(path=path, headers=[JSON], body=body) for path in paths for body in bodies]
    return await outcomes(converse(target, request.raw) for request in requests)


ATTACKS = (
    Attack("compressed bombs", compressed_bombs, REFUSED),
    # Cropped before it is resized, a thin image is ordinary.
    Attack("huge images in few bytes", large_images_in_few_bytes, REFUSED | {200}),
    # The kernel may discard the answer while the client still sends.
    Attack("bodies over the limit", large_bodies, TIMED_OUT | {413}),
    Attack("large bodies for unknown models", large_bodies_that_torchserve_refuses, frozenset({404})),
    # A batch is answered 200 with an error per image.
    Attack("text of megabytes", long_texts, REFUSED | NOT_OFFERED | TIMED_OUT | {200}),
    Attack("hostile JSON", nested_json, REFUSED),
)
