"""Over a real socket: where a request ends, whatever a client sends. RFC 9110 and 9112 say the answers."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
import structlog
import uvicorn

from tests.fake_torchserve import FakeTorchServe
from tests.faults.test_gateway_connections import GIVE_UP_S, connection, is_problem, until_closed
from tests.http_messages import BODY, HEAD, HOST, LAST, REFUSED, SERVED, UNKNOWN_METHODS, asking
from tests.served_gateway import served_gateway


@pytest.fixture(scope="module")
def torchserve() -> FakeTorchServe:
    return FakeTorchServe()


@pytest.fixture(scope="module")
def server(torchserve: FakeTorchServe) -> Iterator[uvicorn.Server]:
    with served_gateway(torchserve) as server:
        yield server


@pytest.fixture
def received(torchserve: FakeTorchServe) -> list[httpx.Request]:
    torchserve.requests.clear()
    return torchserve.requests


def answers(server: uvicorn.Server, *packets: bytes) -> list[bytes]:
    """All that comes until the gateway closes the connection, answer by answer."""
    with connection(server) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(BrokenPipeError, ConnectionResetError):
            for packet in packets:
                client.sendall(packet)
        return re.split(rb"(?<!^)(?=HTTP/1\.1 \d{3} )", until_closed(client))


def packets_of(message: bytes) -> Iterator[list[bytes]]:
    """Whole; the body apart from its head; every byte by itself."""
    head, end, body = message.partition(b"\r\n\r\n")
    yield [message + LAST]
    yield [head + end, body, LAST] if body else [head + end, LAST]
    if len(message) < 2000:
        yield [bytes([byte]) for byte in message + LAST]


@pytest.mark.parametrize("message", SERVED.values(), ids=SERVED)
def test_a_request_is_answered_once_and_torchserve_gets_its_whole_body(
    server: uvicorn.Server, received: list[httpx.Request], message: bytes
) -> None:
    for packets in packets_of(message):
        received.clear()
        first, last = answers(server, *packets)
        for answer, request_id in ((first, b"first"), (last, b"last")):
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"x-request-id: %s\r\n" % request_id in answer.lower()
        assert [(each.url.path, each.content) for each in received] == [("/predictions/other", BODY)]


@pytest.mark.parametrize(("status", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_a_request_is_refused_once_and_torchserve_gets_nothing(
    server: uvicorn.Server, received: list[httpx.Request], status: int, message: bytes
) -> None:
    for packets in packets_of(message):
        [answer] = answers(server, *packets)
        assert is_problem(answer, status)
    assert received == []


@pytest.mark.parametrize("message", UNKNOWN_METHODS.values(), ids=UNKNOWN_METHODS)
def test_an_unknown_method_is_501(server: uvicorn.Server, message: bytes) -> None:
    [answer] = answers(server, message)
    assert is_problem(answer, 501)


@pytest.mark.parametrize("method", [b"DELETE", b"PATCH", b"TRACE", b"PROPFIND", b"OPTIONS"])
def test_a_method_that_no_path_has_is_405(server: uvicorn.Server, method: bytes) -> None:
    answer, last = answers(server, asking(method + b" /models HTTP/1.1", HOST) + LAST)
    assert is_problem(answer, 405)
    assert b"\r\nallow: get, head\r\n" in answer.lower()
    assert last.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("lines", [(), (HOST,), (HOST, b"Expect: 100-continue")])
def test_http_1_0_is_answered_and_closed(
    server: uvicorn.Server, received: list[httpx.Request], lines: tuple[bytes, ...]
) -> None:
    sent = asking(b"POST /predictions/other HTTP/1.0", *lines, b"Content-Length: %d" % len(BODY)) + BODY
    [answer] = answers(server, sent + LAST)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert [each.content for each in received] == [BODY]


def test_a_whole_path_of_22000_exclamation_marks_is_414(server: uvicorn.Server) -> None:
    for target in (
        b"/predictions/" + b"!" * 22_000,
        b"/" + b"!" * 22_000,
        b"/predictions/x?" + b"!" * 22_000,
    ):
        [answer] = answers(server, asking(b"POST " + target + b" HTTP/1.1", HOST, b"Content-Length: 0"))
        assert is_problem(answer, 414)


@pytest.mark.parametrize(
    "message", [SERVED["a length"], SERVED["chunks"], SERVED["h2c, as Java and curl ask"]]
)
@pytest.mark.parametrize("times", [1, 3])
def test_a_client_that_stops_sending_after_its_requests_gets_the_answers(
    server: uvicorn.Server, message: bytes, times: int
) -> None:
    with connection(server) as client:
        client.sendall(message * times)
        client.shutdown(socket.SHUT_WR)
        answered = until_closed(client)
    assert re.findall(rb"HTTP/1\.1 ([2-5]\d\d) ", answered) == [b"200"] * times


@pytest.mark.parametrize("message", [SERVED["a length"], SERVED["chunks"]])
def test_a_client_that_stops_sending_in_a_request_gets_no_answer_to_it(
    server: uvicorn.Server, received: list[httpx.Request], message: bytes
) -> None:
    for end in (len(HEAD) - 5, len(HEAD), len(message) - 1):
        for before in (b"", message):
            received.clear()
            with connection(server) as client:
                client.sendall(before + message[:end])
                client.shutdown(socket.SHUT_WR)
                answered = until_closed(client)
            assert re.findall(rb"HTTP/1\.1 ([2-5]\d\d) ", answered) == ([b"200"] if before else [])
            assert [each.content for each in received] == ([BODY] if before else [])


def test_a_client_that_stops_sending_is_answered_however_long_torchserve_takes() -> None:
    go_on = threading.Event()

    async def answer(_: httpx.Request) -> httpx.Response:
        await asyncio.to_thread(go_on.wait)
        return httpx.Response(200, content=b"late")

    with served_gateway(FakeTorchServe(answer)) as server, connection(server) as client:
        client.sendall(SERVED["a length"])
        client.shutdown(socket.SHUT_WR)
        # By which the gateway finds out whether anybody is left.
        probe = client.recv(25)
        go_on.set()
        answered = until_closed(client)
    assert probe == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answered.endswith(b"\r\n\r\nlate")
    assert len(re.findall(rb"HTTP/1\.1 200 ", answered)) == 1


@pytest.mark.parametrize("requests", [1, 3])
def test_a_client_that_has_gone_gives_up_its_place(requests: int) -> None:
    with structlog.testing.capture_logs() as lines, served_gateway(FakeTorchServe(hangs=True)) as server:
        with connection(server) as client:
            client.sendall(SERVED["a length"] * requests)
        until = time.monotonic() + GIVE_UP_S
        while not lines or server.server_state.tasks or server.server_state.connections:
            assert time.monotonic() < until
            time.sleep(0.01)
    assert [line["status"] for line in lines] == [499]
