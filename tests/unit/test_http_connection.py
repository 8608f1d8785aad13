"""Every answer of a server, right or wrong, whole or cut off, is what the server sent or a clear error."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.scripted_server import OK, ScriptedServer, says, scripted, silence, until
from torchserve_gateway.torchserve_api.http_connection import (
    MAX_HEAD_BYTES,
    AnswerTooLargeError,
    HttpConnection,
    WholeAnswer,
)
from torchserve_gateway.torchserve_api.http_pool import PooledTransport

LIMIT = 1_000
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
HELLO = CHUNKED + b'1;a="b"\r\nh\r\n00004\r\nello\r\n0\r\n\r\n'


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted(says(OK)) as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[PooledTransport]:
    async with PooledTransport(max_answer_bytes=LIMIT) as http:
        yield http


async def ask(http: PooledTransport, server: ScriptedServer, **options: Any) -> httpx.Response:
    given: dict[str, Any] = {"content": b"image", "extensions": {"timeout": {"connect": 30, "read": 30}}}
    request = httpx.Request("POST", f"{server.url}/m", **given | options)
    response = await http.handle_async_request(request)
    await response.aread()
    return response


class Wire(asyncio.Transport):
    """Keeps what is written; closes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        pieces = list(list_of_data)
        assert all(pieces), "asyncio of Python 3.12 and later never ends sending an empty piece"
        self.written += b"".join(pieces)

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


class Client:
    """A connection without a network: a test decides what arrives in which piece."""

    def __init__(self, max_answer_bytes: int = LIMIT) -> None:
        self.wire = Wire()
        self.connection = HttpConnection(max_answer_bytes, lambda _: None)
        self.connection.connection_made(self.wire)

    async def asking(self, body: bytes = b"BODY") -> "asyncio.Task[WholeAnswer]":
        """A request that has been sent."""
        task = asyncio.create_task(self.connection.ask(b"HEAD", body))
        await asyncio.sleep(0)
        return task

    async def answer(self, *pieces: bytes) -> WholeAnswer:
        task = await self.asking()
        for piece in pieces:
            self.connection.data_received(piece)
        async with asyncio.timeout(2):
            return await task


@pytest.mark.parametrize(
    ("sent", "status", "body", "stays_open"),
    [
        (OK, 200, b"ok", True),
        (HEAD + b"content-length: 0\r\n\r\n", 200, b"", True),
        (HELLO, 200, b"hello", True),
        (CHUNKED + b"2\r\nok\r\n0\r\nX-Trailer: t\r\n\r\n", 200, b"ok", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + OK, 200, b"ok", True),
        (HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", True),
        (b"HTTP/1.1 500 \r\nContent-Length: 2\r\n\r\nok", 500, b"ok", True),
        (b"HTTP/1.1 507\r\nContent-Length: 2\r\n\r\nok", 507, b"ok", True),
    ],
)
async def test_an_answer_is_the_same_however_it_is_cut_into_pieces(
    sent: bytes, status: int, body: bytes, *, stays_open: bool
) -> None:
    byte_by_byte = [sent[at : at + 1] for at in range(len(sent))]
    cuts = [[sent[:at], sent[at:]] for at in range(1, len(sent))]
    for pieces in ([sent], byte_by_byte, *cuts):
        client = Client()
        answer = await client.answer(*pieces)
        assert (answer.status, answer.body, client.connection.is_usable) == (status, body, stays_open)
        assert client.wire.written == b"HEADBODY"
        # Neither an interim answer's nor a trailer's.
        assert {name.lower() for name, _ in answer.headers} <= {
            *(b"content-length", b"transfer-encoding", b"connection")
        }
        if stays_open:
            assert (await client.answer(OK)).body == b"ok"


async def test_a_request_without_a_body_writes_its_head_alone() -> None:
    client = Client()
    task = await client.asking(b"")
    client.connection.data_received(OK)
    assert (await task).body == b"ok"
    assert client.wire.written == b"HEAD"


@pytest.mark.parametrize("sent", [OK, HELLO, b"HTTP/1.1 100 Continue\r\n\r\n" + OK])
async def test_an_answer_that_is_cut_off_anywhere_is_an_error(sent: bytes) -> None:
    for at in range(len(sent)):
        client = Client()
        task = await client.asking()
        client.connection.data_received(sent[:at])
        client.connection.connection_lost(None)
        with pytest.raises(httpx.RemoteProtocolError, match="closed before the answer was complete"):
            await task


async def test_a_connection_that_breaks_is_a_read_error() -> None:
    client = Client()
    task = await client.asking()
    client.connection.data_received(HEAD)
    client.connection.connection_lost(ConnectionResetError(104, "Connection reset by peer"))
    with pytest.raises(httpx.ReadError, match="reset by peer"):
        await task


async def test_a_body_without_a_length_ends_with_its_connection(
    server: ScriptedServer, http: PooledTransport
) -> None:
    server.behave = says(HEAD + b"X: y\r\n\r\n", b"a bo", b"dy", close=True)
    for _ in range(2):
        assert (await ask(http, server)).content == b"a body"
    assert server.connections == 2


@pytest.mark.parametrize("cut", range(0, len(HELLO), 7))
async def test_a_server_that_closes_within_an_answer_costs_this_request_alone(
    server: ScriptedServer, http: PooledTransport, cut: int
) -> None:
    server.behave = says(HELLO[:cut], close=True)
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(http, server)
    server.behave = says(HELLO[:cut], HELLO[cut:])
    assert (await ask(http, server)).content == b"hello"


@pytest.mark.parametrize(
    "sent",
    [
        b"rubbish\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"POST / HTTP/1.1\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        HEAD + b"no colon\r\n\r\n",
        HEAD + b"X: a\0b\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"1\r\nab\r\n0\r\n\r\n",
        CHUNKED + b"10000000000000000\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    ],
)
async def test_anything_that_is_not_http_is_an_error_and_closes_the_connection(
    server: ScriptedServer, http: PooledTransport, sent: bytes
) -> None:
    server.behave = says(sent)
    with pytest.raises(httpx.RemoteProtocolError, match="not HTTP"):
        await ask(http, server)
    await until(lambda: not server.open)
    server.behave = says(OK)
    assert (await ask(http, server)).content == b"ok"


@pytest.mark.parametrize(
    "pieces",
    [
        [b"X: y\r\n" * 1000] * (MAX_HEAD_BYTES // 6000 + 1),
        [b"X: " + b"y" * 10_000, *[b"y" * 10_000] * (MAX_HEAD_BYTES // 10_000)],
        [b"Transfer-Encoding: chunked\r\n\r\n0\r\n", *[b"X: y\r\n" * 1000] * (MAX_HEAD_BYTES // 6000 + 1)],
        [b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", *[b"y" * 10_000] * (MAX_HEAD_BYTES // 10_000 + 1)],
        [b"Transfer-Encoding: chunked\r\n\r\n1;", *[b"y" * 10_000] * (MAX_HEAD_BYTES // 10_000 + 1)],
    ],
    ids=["many headers", "a long header", "many trailers", "a long trailer", "a long extension of a chunk"],
)
async def test_a_head_or_trailer_without_end_is_an_error(pieces: list[bytes]) -> None:
    client = Client()
    with pytest.raises(httpx.RemoteProtocolError, match=f"over {MAX_HEAD_BYTES} bytes"):
        await client.answer(HEAD, *pieces)
    assert not client.connection.is_usable


async def test_a_head_within_the_limit_and_a_long_body_of_small_chunks_are_fine() -> None:
    headers = b"X: y\r\n" * (MAX_HEAD_BYTES // 6 - 20)
    client = Client(max_answer_bytes=100_000)
    chunks = [b"1\r\nx\r\n"] * 50_000
    answer = await client.answer(HEAD + headers, b"Transfer-Encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n")
    assert answer.body == b"x" * 50_000


@pytest.mark.parametrize(
    "pieces",
    [
        [HEAD + b"Content-Length: 1001\r\n\r\n" + b"x" * 1001],
        [HEAD + b"Content-Length: 1000000000\r\n\r\n", *[b"x" * 100] * 11],
        [CHUNKED, *[b"64\r\n" + b"x" * 100 + b"\r\n"] * 11],
        [HEAD + b"\r\n", *[b"x" * 100] * 11],
    ],
)
async def test_a_body_above_the_limit_is_refused_before_its_end(pieces: list[bytes]) -> None:
    client = Client()
    with pytest.raises(AnswerTooLargeError):
        await client.answer(*pieces)
    assert not client.connection.is_usable


async def test_a_body_of_exactly_the_limit_is_taken() -> None:
    assert len((await Client().answer(HEAD + b"Content-Length: 1000\r\n\r\n", b"x" * 1000)).body) == 1000


@pytest.mark.parametrize(
    "extra",
    [
        OK,
        HEAD + b"Content-Length: 500\r\n\r\nsecret of another",
        HEAD + b"X: ",
        b"H",
        b"rubbish",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
async def test_bytes_that_no_request_asked_for_end_the_connection(
    server: ScriptedServer, http: PooledTransport, extra: bytes
) -> None:
    """They would be taken for the beginning of the next answer."""
    for pieces in ([OK + extra], [OK, extra], [OK[:-1], OK[-1:] + extra], [HELLO[:-1], HELLO[-1:] + extra]):
        client = Client()
        task = await client.asking()
        # Both arrive before the request notices its answer.
        for piece in pieces:
            client.connection.data_received(piece)
        assert (await task).body in (b"ok", b"hello")
        assert not client.connection.is_usable
    client = Client()
    await client.answer(OK)
    client.connection.data_received(extra)
    assert not client.connection.is_usable
    server.behave = says(OK + extra)
    assert [(await ask(http, server)).content for _ in range(3)] == [b"ok"] * 3


async def test_a_caller_that_is_cancelled_closes_the_connection() -> None:
    client = Client()
    task = await client.asking()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not client.connection.is_usable


async def test_a_caller_that_is_cancelled_as_its_answer_arrives_closes_the_connection() -> None:
    client = Client()
    task = await client.asking()
    client.connection.data_received(OK)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not client.connection.is_usable


async def test_header_values_pass_unchanged_both_ways(server: ScriptedServer, http: PooledTransport) -> None:
    value = bytes((0x09, *range(0x20, 0x7F), *range(0x80, 0x100))).strip()
    server.behave = says(HEAD + b"X-Bytes:  " + value + b"\t \r\nx-EMPTY:\r\nContent-Length: 0\r\n\r\n")
    response = await ask(http, server, headers=[(b"X-Bytes", value), (b"x-EMPTY", b"")])
    assert response.headers.raw == [(b"X-Bytes", value), (b"x-EMPTY", b""), (b"Content-Length", b"0")]
    [asked] = server.requests
    assert b"X-Bytes: " + value in asked.lines
    assert b"x-EMPTY: " in asked.lines


async def test_repeated_headers_stay_apart_and_in_order(
    server: ScriptedServer, http: PooledTransport
) -> None:
    repeated = [(b"Set-Cookie", b"a=1"), (b"X", b"1"), (b"set-cookie", b"b=2, c"), (b"X", b"2")]
    lines = b"".join(b"%s: %s\r\n" % each for each in repeated)
    server.behave = says(HEAD + lines + b"Content-Length: 2\r\n\r\nok")
    response = await ask(http, server, headers=repeated)
    assert response.headers.raw[:4] == repeated
    [asked] = server.requests
    assert re.findall(rb"(?mi)^(Set-Cookie|X): (.*)\r$", asked.head) == repeated


async def test_the_request_is_what_was_asked_for(server: ScriptedServer, http: PooledTransport) -> None:
    body = bytes(range(256)) * 10_000
    await ask(http, server, content=body)
    [asked] = server.requests
    assert asked.body == body
    assert asked.lines[0] == b"POST /m HTTP/1.1"
    assert b"Host: " + httpx.URL(server.url).netloc in asked.lines
    assert b"Content-Length: %d" % len(body) in asked.lines


async def test_an_answer_before_the_whole_request_was_read_arrives(http: PooledTransport) -> None:
    """A server that refuses a body does not read it."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        closed.set()

    closed = asyncio.Event()
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        request = httpx.Request("POST", url, content=bytes(30_000_000))
        assert (await http.handle_async_request(request)).status_code == 413
        await closed.wait()


async def test_silence_is_a_read_time_out_and_closes_the_connection(
    server: ScriptedServer, http: PooledTransport
) -> None:
    server.behave = silence
    with pytest.raises(httpx.ReadTimeout, match=r"no complete answer within 0\.05 s"):
        await ask(http, server, extensions={"timeout": {"read": 0.05}})
    server.behave = says(OK)
    assert (await ask(http, server)).content == b"ok"
    assert server.connections == 2
