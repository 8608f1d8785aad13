"""A stand-in for TorchServe over real sockets: `python -m tools.bench.hostile_clients.torchserve 8080 8081`.

Its HTTP is as strict as Netty's, TorchServe's library: a request line over 4096 bytes, a head over 8192 bytes
or invalid HTTP ends the connection without an answer. Prints every request line, so that tests see the
gateway's requests.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from http import HTTPStatus

VERSION = "1.0"
ANSWER = b'{"Horror": 0.75, "Comedy": 0.25}'
MAX_LINE_BYTES = 4096
MAX_HEAD_BYTES = 8192
MAX_BODY_BYTES = 6_553_500
DESCRIBED = [
    {
        "modelName": "genre",
        "modelVersion": VERSION,
        "modelUrl": "genre-1.0.mar",
        "minWorkers": 1,
        "maxWorkers": 1,
        "batchSize": 8,
        "maxBatchDelay": 20,
        "responseTimeout": 30,
        "workers": [{"id": "9000", "status": "READY", "pid": 7}],
        "jobQueueStatus": {"remainingCapacity": 100, "pendingRequests": 0},
    }
]

PAGES = {
    "ping": b'{"status": "Healthy"}',
    "metrics": b"",
    "models": b'{"models": [{"modelName": "genre", "modelUrl": "genre-1.0.mar"}]}',
}


class NoHttpError(Exception):
    """Netty would not parse the request."""


async def read_request(reader: asyncio.StreamReader) -> tuple[str, str, int]:
    """Reads a request and returns method, target and length of the body.

    Raises:
        NoHttpError: the request is malformed or over a limit.
    """
    line = (await reader.readuntil(b"\r\n")).decode("latin-1")
    parts = line.rstrip("\r\n").split(" ")
    if len(line) > MAX_LINE_BYTES or len(parts) != 3 or parts[2] != "HTTP/1.1":
        raise NoHttpError(line[:100])
    headers, head_bytes = dict[str, str](), 0
    while (header := (await reader.readuntil(b"\r\n")).decode("latin-1")) != "\r\n":
        head_bytes += len(header)
        name, separator, value = header.partition(":")
        if head_bytes > MAX_HEAD_BYTES or not separator or name != name.strip():
            raise NoHttpError(header[:100])
        headers[name.lower()] = value.strip()
    print(parts[0], parts[1], flush=True)
    return parts[0], parts[1], await _skip_body(reader, headers)


async def _skip_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> int:
    length = int(headers.get("content-length", "0"))
    if "transfer-encoding" in headers:
        raise NoHttpError("the gateway sends whole bodies, with their length")
    left = length
    while left:
        left -= len(piece := await reader.read(min(left, 65_536)))
        if not piece:
            raise NoHttpError("the body ends early")
    return length


def answer_of(method: str, target: str, length: int) -> tuple[int, bytes]:
    """TorchServe's status and body for a request."""
    if length > MAX_BODY_BYTES:
        return 413, b""
    match method, target.partition("?")[0].strip("/").split("/"):
        case "GET", [("ping" | "metrics" | "models") as page]:
            return 200, PAGES[page]
        case "GET", ["models", "genre", *version] if version in ([], ["all"], [VERSION]):
            return 200, json.dumps(DESCRIBED).encode()
        case "POST", [("predictions" | "explanations"), "genre", *version] if version in ([], [VERSION]):
            return 200, ANSWER
        case _, [("predictions" | "explanations" | "models"), model, *version]:
            kind = "ModelVersionNotFoundException" if model == "genre" else "ModelNotFoundException"
            return _error(404, kind, f"Model not found: {model} {version}")
    return _error(404, "ResourceNotFoundException", "Requested resource is not found")


def _error(status: int, type_: str, message: str) -> tuple[int, bytes]:
    return status, json.dumps({"code": status, "type": type_, "message": message}).encode()


async def serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers until the client closes; closes after every error, as TorchServe does."""
    status = 200
    try:
        while status < 400:
            status, body = answer_of(*await read_request(reader))
            closing = b"connection: close\r\n" if status >= 400 else b""
            phrase = HTTPStatus(status).phrase.encode()
            head = b"HTTP/1.1 %d %s\r\ncontent-length: %d\r\n%s\r\n" % (status, phrase, len(body), closing)
            writer.write(head + body)
            await writer.drain()
    except (NoHttpError, ValueError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()


async def serve(inference_port: int, management_port: int) -> None:
    """Serves until it is killed."""
    servers = [
        await asyncio.start_server(serve_connection, "127.0.0.1", port)
        for port in (inference_port, management_port)
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
