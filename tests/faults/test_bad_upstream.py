"""Something on TorchServe's port that does not answer as TorchServe does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from tests.composed_settings import gateway_settings
from torchserve_gateway.gateway.application import create_app

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]
GOOD = b'HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{"Horror": 1.0}'
CHUNK = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"


def says(text: bytes) -> Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()

    return behave


def repeats(start: bytes, part: bytes, pause_s: float = 0) -> Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return behave


async def silence(_: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


@asynccontextmanager
async def gateway(
    behave: Behaviour, deadline_s: float
) -> AsyncIterator[tuple[httpx.AsyncClient, list[Behaviour]]]:
    """A gateway in front of a server that does whatever the list's last entry says, over real sockets."""
    behaviours = [behave]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            await behaviours[-1](writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    overrides = [
        f"torchserve.inference_url={url}",
        "torchserve.max_answer_bytes=1000000",
        f"gateway.deadline_s={deadline_s}",
        "gateway.upstream.breaker_failures=1000",
    ]
    app = create_app(gateway_settings(*overrides))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway", timeout=60) as client:
        yield client, behaviours
    server.close()


@pytest.mark.parametrize(
    ("behave", "status"),
    [
        (says(b""), 502),
        (says(b"rubbish\r\n\r\n"), 502),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n"), 502),
        (says(b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{"), 502),
        (says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), 502),
        (says(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"), 502),
        (says(b"HTTP/1.1 500 \r\ncontent-length: 5\r\n\r\n<htm>"), 502),
        (repeats(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 5000), 502),
        (repeats(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", CHUNK), 502),
        (repeats(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", b"x", pause_s=0.1), 504),
        (silence, 504),
    ],
    ids=[
        "closes",
        "garbage",
        "another protocol",
        "half an answer",
        "a broken chunk",
        "a length below 0",
        "a page of errors",
        "headers without end",
        "a body without end",
        "a byte at a time",
        "nothing",
    ],
)
async def test_it_becomes_a_clear_error_and_the_next_answer_is_right(behave: Behaviour, status: int) -> None:
    # What ends by the deadline alone should not take long.
    async with gateway(behave, 1 if status == 504 else 20) as (client, behaviours):
        answers = await asyncio.gather(*(client.post("/predictions/m", content=b"x") for _ in range(5)))
        assert [response.status_code for response in answers] == [status] * 5
        assert all(response.json()["detail"] for response in answers)
        behaviours.append(says(GOOD))
        response = await client.post("/predictions/m", content=b"x")
        assert (response.status_code, response.json()) == (200, {"Horror": 1.0})
