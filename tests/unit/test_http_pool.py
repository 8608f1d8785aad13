"""Connections are shared, kept and closed so that each request gets its own answer or an error of httpx's."""

import asyncio
import errno
import gc
import gzip
import random
import socket
import ssl
import sys
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.certificates import self_signed
from tests.composed_settings import gateway_settings
from tests.scripted_server import (
    GIVE_UP_S,
    OK,
    Asked,
    Behaviour,
    ScriptedServer,
    says,
    scripted,
    silence,
    until,
)
from torchserve_gateway.torchserve_api import http_pool
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.errors import InvalidAnswerError
from torchserve_gateway.torchserve_api.http_connection import AnswerTooLargeError
from torchserve_gateway.torchserve_api.http_pool import KEPT_IDLE_S, PooledTransport, head_of
from torchserve_gateway.torchserve_api.inference import Job, Prediction

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted(says(OK)) as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[PooledTransport]:
    async with PooledTransport() as http:
        yield http


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pool's clock; the last entry is now."""
    times = [1000.0]
    monkeypatch.setattr(http_pool, "monotonic", lambda: times[-1])
    return times


async def ask(http: PooledTransport, url: str, content: bytes = b"image", **timeouts: float) -> bytes:
    extensions = {"timeout": {"connect": GIVE_UP_S, "read": GIVE_UP_S} | timeouts}
    request = httpx.Request("POST", f"{url}/m", content=content, extensions=extensions)
    return await (await http.handle_async_request(request)).aread()


async def echo(asked: Asked) -> None:
    """Answers with the body of the request, in two pieces, after a moment."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(asked.body), asked.body)
    cut = len(answer) - 1
    asked.writer.write(answer[:cut])
    await asyncio.sleep(random.Random(asked.body).random() / 100)
    asked.writer.write(answer[cut:])


async def test_requests_in_sequence_share_a_connection(server: ScriptedServer, http: PooledTransport) -> None:
    for _ in range(5):
        assert await ask(http, server.url) == b"ok"
    assert (server.connections, len(server.requests)) == (1, 5)


async def test_requests_at_the_same_time_have_a_connection_each_and_leave_them_to_others(
    server: ScriptedServer, http: PooledTransport
) -> None:
    server.behave = echo
    bodies = [b"%d" % number for number in range(20)]
    for _ in range(2):
        assert await asyncio.gather(*(ask(http, server.url, body) for body in bodies)) == bodies
    assert (server.connections, len(server.requests)) == (20, 40)


async def test_every_server_has_connections_of_its_own(server: ScriptedServer, http: PooledTransport) -> None:
    async with scripted(says(HEAD + b"Content-Length: 5\r\n\r\nother")) as other:
        for _ in range(2):
            assert await ask(http, server.url) == b"ok"
            assert await ask(http, other.url) == b"other"
    assert (server.connections, other.connections) == (1, 1)


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used(
    server: ScriptedServer, http: PooledTransport
) -> None:
    for count in (1, 2, 3):
        assert await ask(http, server.url) == b"ok"
        assert server.connections == count
        [writer] = server.open
        writer.close()
        await writer.wait_closed()
        # The end of the connection reaches the client.
        await asyncio.sleep(0.01)


async def test_a_server_that_closes_each_connection_after_its_answer_is_asked_on_new_ones(
    server: ScriptedServer, http: PooledTransport
) -> None:
    server.behave = says(HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nok")
    for count in (1, 2, 3):
        assert await ask(http, server.url) == b"ok"
        assert server.connections == count
    # The client closes; the server did not.
    await until(lambda: not server.open)


async def test_a_server_that_closes_at_once_is_an_error_without_a_wait(http: PooledTransport) -> None:
    def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for _ in range(50):
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await ask(http, url)


async def test_connections_that_are_idle_for_too_long_are_closed(
    server: ScriptedServer, http: PooledTransport, clock: list[float]
) -> None:
    server.behave = echo
    await asyncio.gather(*(ask(http, server.url, b"%d" % number) for number in range(3)))
    clock.append(clock[-1] + KEPT_IDLE_S)
    await ask(http, server.url)
    assert (server.connections, len(server.open)) == (3, 3)
    # The connection used last stays; the others are too old now.
    clock.append(clock[-1] + 0.1)
    await ask(http, server.url)
    await until(lambda: len(server.open) == 1)
    assert server.connections == 3
    clock.append(clock[-1] + KEPT_IDLE_S + 0.1)
    await ask(http, server.url)
    await until(lambda: len(server.open) == 1)
    assert server.connections == 4


async def test_closing_closes_all_connections_and_fails_requests(server: ScriptedServer) -> None:
    http = PooledTransport()
    server.behave = echo
    await asyncio.gather(*(ask(http, server.url, b"%d" % number) for number in range(3)))
    server.behave = silence
    unanswered = asyncio.create_task(ask(http, server.url))
    await until(lambda: len(server.requests) == 4)
    await http.aclose()
    with pytest.raises(httpx.RemoteProtocolError):
        await unanswered


async def test_a_cancelled_request_closes_its_connection_and_no_other(
    server: ScriptedServer, http: PooledTransport
) -> None:
    await ask(http, server.url)
    server.behave = silence
    cancelled = asyncio.create_task(ask(http, server.url))
    await until(lambda: len(server.requests) == 2)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    server.behave = echo
    assert await ask(http, server.url, b"next") == b"next"
    assert server.connections == 2


async def test_no_answer_reaches_another_request(server: ScriptedServer, http: PooledTransport) -> None:
    chance = random.Random(7)
    server.behave = echo
    answered = 0

    async def client(name: int) -> None:
        nonlocal answered
        for number in range(20):
            body = b"request %d of client %d" % (number, name)
            asking = asyncio.create_task(ask(http, server.url, body))
            if chance.random() < 0.4:
                await asyncio.sleep(chance.random() / 80)
                asking.cancel()
            with suppress(asyncio.CancelledError):
                assert await asking == body
                answered += 1

    await asyncio.gather(*map(client, range(20)))
    assert 200 < answered < 400
    assert 20 < server.connections < 400


async def test_a_refused_connection_is_a_connect_error(http: PooledTransport) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        with pytest.raises(httpx.ConnectError, match="Errno 111"):
            await ask(http, f"http://127.0.0.1:{reserved.getsockname()[1]}")


async def test_a_name_that_does_not_resolve_is_a_connect_error(http: PooledTransport) -> None:
    with pytest.raises(httpx.ConnectError):
        await ask(http, "http://gateway.invalid")


@pytest.fixture
def full() -> Iterator[str]:
    """URL of a server whose full queue lets attempts to connect wait."""
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


async def test_silence_to_a_connection_is_a_connect_time_out(http: PooledTransport, full: str) -> None:
    with pytest.raises(httpx.ConnectTimeout, match=r"no connection within 0\.05 s"):
        await ask(http, full, connect=0.05)


async def test_the_time_out_of_the_answer_limits_connecting_as_well(http: PooledTransport, full: str) -> None:
    with pytest.raises(httpx.ReadTimeout, match=r"no complete answer within 0\.05 s"):
        await ask(http, full, read=0.05)


async def test_the_systems_own_time_out_is_a_connect_time_out(
    http: PooledTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def create_connection(*_: object, **__: object) -> None:
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create_connection)
    request = httpx.Request("GET", "http://10.0.0.1/")
    with pytest.raises(httpx.ConnectTimeout, match="timed out"):
        await http.handle_async_request(request)


async def test_an_answer_that_trickles_is_a_read_time_out(
    server: ScriptedServer, http: PooledTransport
) -> None:
    async def trickle(asked: Asked) -> None:
        asked.writer.write(HEAD + b"Content-Length: 1000000\r\n\r\n")
        while not asked.writer.is_closing():
            asked.writer.write(b"x")
            await asyncio.sleep(0.01)

    server.behave = trickle
    with pytest.raises(httpx.ReadTimeout):
        await ask(http, server.url, read=0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"X", b"a\r\nY: b"),
        (b"X", b"a\nY: b"),
        (b"X", b"a\rb"),
        (b"X", b"a\0b"),
        (b"X", b"a\x7f"),
        (b"X: a\r\nY", b"b"),
        (b"X Y", b"a"),
        (b"X:", b"a"),
        (b"", b"a"),
        (b"\xfc", b"a"),
    ],
)
async def test_a_header_that_would_change_the_request_is_not_sent(
    server: ScriptedServer, http: PooledTransport, name: bytes, value: bytes
) -> None:
    request = httpx.Request("POST", server.url, content=b"image", headers=[(name, value)])
    with pytest.raises(httpx.LocalProtocolError):
        await http.handle_async_request(request)
    assert server.connections == 0


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET / HTTP/1.1\r\n\r\nGET", b"/"),
        ("", b"/"),
        ("G T", b"/"),
        ("GET", b""),
        ("GET", b"/a b"),
        ("GET", b"/ HTTP/1.1\r\nX: y\r\n\r\n"),
        ("GET", b"/ HTTP/1.1\r\nX: y"),
        ("GET / HTTP/1.1\r\nX:", b"/"),
        ("GET", b"/\xfc"),
    ],
)
def test_a_request_line_that_would_be_another_is_refused(method: str, target: bytes) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        head_of(method, target, [])


async def test_ipv6() -> None:
    try:
        async with scripted(says(OK), host="::1") as server, PooledTransport() as http:
            assert [await ask(http, server.url) for _ in range(2)] == [b"ok"] * 2
            assert server.connections == 1
            assert b"Host: " + httpx.URL(server.url).netloc in server.requests[0].lines
    except OSError as exc:
        if exc.errno == errno.EADDRNOTAVAIL:
            pytest.skip("this machine has no IPv6")
        raise


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return self_signed(tmp_path / "certificate.pem", "localhost")


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_tls(certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=certificate)
    async with scripted(echo, tls=serving(certificate)) as server, PooledTransport(trusting) as http:
        large = bytes(range(256)) * 4_000
        for body in (b"1", large, b"2"):
            assert await ask(http, server.url, body) == body
        assert server.connections == 1
        [writer] = server.open
        writer.close()
        await asyncio.sleep(0.05)
        assert await ask(http, server.url, b"3") == b"3"
        assert server.connections == 2


async def test_a_certificate_that_nobody_vouches_for_is_a_connect_error(certificate: Path) -> None:
    async with scripted(says(OK), tls=serving(certificate)) as server, PooledTransport() as http:
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await ask(http, server.url)
    assert server.requests == []


async def predicted(server: ScriptedServer, behave: Behaviour, **headers: str) -> Prediction:
    """Asks as the gateway does."""
    overrides = (f"torchserve.inference_url={server.url}", "torchserve.max_answer_bytes=1000000")
    torchserve = TorchServe.at(gateway_settings(*overrides).torchserve)
    server.behave = behave
    raw = tuple((name.encode(), value.encode()) for name, value in headers.items())
    async with torchserve.http:
        return await torchserve.inference.predict(Job("m", None, b"image", "image/png", raw), GIVE_UP_S)


def coded(coding: bytes, body: bytes) -> Behaviour:
    return says(HEAD + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s" % (coding, len(body), body))


@pytest.mark.parametrize(
    ("coding", "compress"),
    [(b"gzip", gzip.compress), (b" GZIP ", gzip.compress), (b"deflate", zlib.compress)],
)
async def test_a_compressed_answer_is_decoded(server: ScriptedServer, coding: bytes, compress: Any) -> None:
    prediction = await predicted(server, coded(coding, compress(b"answer " * 100_000)))
    assert prediction.body == b"answer " * 100_000
    assert not [name for name, _ in prediction.headers if name.lower() == b"content-encoding"]


async def test_a_coding_that_is_not_ours_is_passed_on(server: ScriptedServer) -> None:
    prediction = await predicted(server, coded(b"br", b"compressed"))
    assert prediction.body == b"compressed"
    assert (b"Content-Encoding", b"br") in prediction.headers


@pytest.mark.parametrize(
    "behave",
    [
        coded(b"gzip", gzip.compress(bytes(1_000_001))),
        coded(b"gzip", b"no gzip"),
        says(HEAD + b"Content-Length: 1000001\r\n\r\n" + bytes(1_000_001)),
        says(HEAD + b"\r\n", *[bytes(250_000)] * 5),
    ],
    ids=["decoded above the limit", "not decodable", "above the limit", "without end"],
)
async def test_an_answer_that_cannot_be_taken_is_an_invalid_answer(
    server: ScriptedServer, behave: Behaviour
) -> None:
    with pytest.raises(InvalidAnswerError):
        await predicted(server, behave)


async def cut_off(http: PooledTransport, server: ScriptedServer, body: bytes) -> None:
    server.behave = says(OK[:20], close=True)
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(http, server.url, body)


async def times_out(http: PooledTransport, server: ScriptedServer, body: bytes) -> None:
    server.behave = silence
    with pytest.raises(httpx.ReadTimeout):
        await ask(http, server.url, body, read=0.1)


async def is_cancelled(http: PooledTransport, server: ScriptedServer, body: bytes) -> None:
    server.behave = silence
    task = asyncio.create_task(ask(http, server.url, body))
    await until(lambda: server.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def is_too_large(_: PooledTransport, server: ScriptedServer, body: bytes) -> None:
    server.behave = says(OK)
    async with PooledTransport(max_answer_bytes=1) as http:
        with pytest.raises(AnswerTooLargeError):
            await ask(http, server.url, body)


async def is_refused(http: PooledTransport, _: ScriptedServer, body: bytes) -> None:
    with pytest.raises(httpx.ConnectError):
        await ask(http, "http://127.0.0.1:1", body)


@pytest.mark.slow
@pytest.mark.parametrize("fails", [cut_off, times_out, is_cancelled, is_too_large, is_refused])
async def test_a_failed_request_keeps_no_body(
    server: ScriptedServer, http: PooledTransport, fails: Any
) -> None:
    body = bytes(1_000_000)
    gc.collect()
    gc.disable()
    try:
        before = sys.getrefcount(body)
        await fails(http, server, body)
        # The loop forgets its handles.
        await asyncio.sleep(0.01)
        assert sys.getrefcount(body) == before
    finally:
        gc.enable()
