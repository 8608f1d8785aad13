"""Over a real socket: however a client sends, it gets an answer or its connection is closed."""

import json
import logging
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import structlog
import uvicorn

from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe
from tests.free_ports import free_ports
from tests.http_client import answers
from tests.served_gateway import served_gateway
from torchserve_gateway.settings.composition import PROJECT_ROOT

# Far more than anything here takes: a test that gets this far has shown a hang.
GIVE_UP_S = 30
LIMIT = 100_000
JPEG = SMALL["JPEG"]
POST = b"POST /predictions/genre HTTP/1.1\r\nHost: gateway\r\n"
FORM = b" HTTP/1.1\r\nHost: gateway\r\nContent-Type: multipart/form-data; boundary=b\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[uvicorn.Server]:
    """Short time-outs, so that nobody waits long for them."""
    overrides = ("body_timeout_s=1", "head_timeout_s=1", f"max_request_bytes={LIMIT}")
    with served_gateway(FakeTorchServe(), *(f"gateway.{each}" for each in overrides)) as server:
        yield server


@contextmanager
def connection(server: uvicorn.Server) -> Iterator[socket.socket]:
    address = server.config.host, server.config.port
    with socket.create_connection(address, timeout=GIVE_UP_S) as client:
        yield client


def until_closed(client: socket.socket) -> bytes:
    """All that the gateway sends until it closes the connection."""
    received = b""
    with suppress(ConnectionResetError):
        while piece := client.recv(65_536):
            received += piece
    return received


def one_answer(client: socket.socket) -> bytes:
    """The next answer on a connection that may stay open."""
    received = b""
    while not (match := re.search(rb"(?i)content-length: (\d+)\r\n(?s:.*?)\r\n\r\n", received)):
        piece = client.recv(65_536)
        assert piece, received
        received += piece
    while len(received) < match.end() + int(match[1]):
        received += client.recv(65_536)
    return received


def is_problem(answer: bytes, status: int) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    problem = json.loads(body)
    return bool(
        head.startswith(b"HTTP/1.1 %d " % status)
        and b"content-type: application/problem+json" in head.lower()
        and problem["status"] == status
        and problem["request_id"].encode() in head
        and problem["detail"]
    )


def trickle(client: socket.socket, data: bytes) -> None:
    """One byte at a time, until the gateway has had enough."""
    with suppress(BrokenPipeError, ConnectionResetError):
        for byte in data:
            client.sendall(bytes([byte]))
            time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [b"", JPEG[:100]])
def test_a_body_that_stops_arriving_is_408_and_the_connection_closed(
    server: uvicorn.Server, sent: bytes
) -> None:
    with connection(server) as client:
        client.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(JPEG) + sent)
        answer = until_closed(client)
    assert is_problem(answer, 408)
    assert b"connection: close" in answer.lower()
    assert b"only %d bytes" % len(sent) in answer


@pytest.mark.slow
@pytest.mark.parametrize("path", [b"/predict", b"/predict/batch", b"/predictions/other"])
def test_a_body_that_trickles_is_408(server: uvicorn.Server, path: bytes) -> None:
    with connection(server) as client:
        client.sendall(b"POST " + path + FORM + b"Content-Length: 10000\r\n\r\n--b\r\n")
        trickle(client, b"x" * 1000)
        assert is_problem(until_closed(client), 408)


@pytest.mark.slow
@pytest.mark.parametrize("head", [b"", b"\r\n\r\n", b"POST /predict HTT", POST + b"X-Slow: 1"])
def test_a_head_that_stops_arriving_closes_the_connection(server: uvicorn.Server, head: bytes) -> None:
    with connection(server) as client:
        client.sendall(head)
        answer = until_closed(client)
    assert is_problem(answer, 408) if head.strip() else answer == b""


@pytest.mark.slow
def test_a_head_that_trickles_is_408(server: uvicorn.Server) -> None:
    with connection(server) as client:
        trickle(client, POST + b"X-Slow: " + b"1" * 1000)
        assert is_problem(until_closed(client), 408)


@pytest.mark.slow
def test_an_idle_connection_is_kept_longer_than_a_slow_head(server: uvicorn.Server) -> None:
    ping = b"GET /health/live HTTP/1.1\r\nHost: gateway\r\n\r\n"
    with connection(server) as client:
        for _ in range(2):
            client.sendall(ping)
            assert one_answer(client).startswith(b"HTTP/1.1 200 ")
            time.sleep(1.5)
        client.sendall(ping[:-2])
        assert is_problem(until_closed(client), 408)


@pytest.mark.parametrize(
    "raw",
    [
        b"not HTTP\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: many\r\n\r\n",
        POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_request_is_400(server: uvicorn.Server, raw: bytes) -> None:
    with connection(server) as client:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(raw)
        assert is_problem(until_closed(client), 400)


@pytest.mark.parametrize("raw", [POST + b"X-Endless: " + b"x" * 1_000_000, POST + b"X: y\r\n" * 100_000])
def test_a_head_without_end_is_431(server: uvicorn.Server, raw: bytes) -> None:
    with connection(server) as client:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(raw)
        assert is_problem(until_closed(client), 431)


@pytest.mark.parametrize(
    "raw",
    [
        CHUNKED + b"zz\r\n",
        CHUNKED + b"0\r\n" + b"X-Trailer: y\r\n" * 100_000,
        CHUNKED + b"1;" + b"x" * 1_000_000,
        POST + b"Content-Length: 2\r\n\r\n" + JPEG,
        POST + b"Content-Length: %d\r\n\r\n" % (2 * len(JPEG)) + JPEG,
    ],
)
def test_a_body_that_is_not_as_announced_ends_in_a_refusal(server: uvicorn.Server, raw: bytes) -> None:
    with connection(server) as client:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(raw)
        answer = until_closed(client)
    # Where the kernel throws the answer away because the client was still sending, nothing is left of it.
    assert re.match(rb"HTTP/1.1 (400|408|415) ", answer) or not answer


def test_a_body_over_the_limit_is_413_and_the_rest_is_not_awaited_for_ever(server: uvicorn.Server) -> None:
    with connection(server) as client:
        client.sendall(CHUNKED)
        for _ in range(LIMIT // 1000 + 1):
            client.sendall(b"3e8\r\n" + bytes(1000) + b"\r\n")
        assert is_problem(one_answer(client), 413)
        trickle(client, b"3e8\r\n" + bytes(1000))
        assert until_closed(client) == b""


def test_a_declared_body_over_the_limit_is_413_before_it_is_sent(server: uvicorn.Server) -> None:
    with connection(server) as client:
        client.sendall(POST + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % (LIMIT + 1))
        answer = one_answer(client)
    assert is_problem(answer, 413)
    assert b"100 Continue" not in answer


def test_a_client_that_asks_first_is_told_to_go_on(server: uvicorn.Server) -> None:
    with connection(server) as client:
        client.sendall(POST + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(JPEG))
        assert client.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(JPEG)
        assert one_answer(client).startswith(b"HTTP/1.1 200 ")


def test_the_next_request_on_a_connection_is_served_after_a_refused_one(server: uvicorn.Server) -> None:
    request = POST + b"Content-Length: %d\r\n\r\n"
    with connection(server) as client:
        client.sendall(request % (LIMIT + 1) + bytes(LIMIT + 1))
        assert is_problem(one_answer(client), 413)
        client.sendall(request % len(JPEG) + JPEG)
        assert one_answer(client).startswith(b"HTTP/1.1 200 ")


def test_pipelined_requests_are_answered_in_order(server: uvicorn.Server) -> None:
    with connection(server) as client:
        good, bad = (POST + b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in (JPEG, b"bad"))
        client.sendall(good + bad + good + POST)
        answers = until_closed(client)
    assert re.findall(rb"HTTP/1.1 (\d+) ", answers) == [b"200", b"415", b"200", b"408"]


def test_a_client_that_goes_away_in_its_upload_leaves_nothing_behind(
    server: uvicorn.Server, caplog: pytest.LogCaptureFixture
) -> None:
    with structlog.testing.capture_logs() as lines, caplog.at_level(logging.WARNING):
        for _ in range(10):
            with connection(server) as client:
                client.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(JPEG) + JPEG[:100])
        until = time.monotonic() + GIVE_UP_S
        while server.server_state.connections or server.server_state.tasks or len(lines) < 10:
            assert time.monotonic() < until
            time.sleep(0.01)
    assert {line["status"] for line in lines} == {499}
    assert all("closed the connection" in line["error"] for line in lines)
    assert caplog.records == []


FORM_CHUNKED = FORM + b"Transfer-Encoding: chunked\r\n\r\n"
PART = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
ATTACKS = (
    CHUNKED,
    b"POST /predict" + FORM_CHUNKED,
    b"POST /predict/batch" + FORM_CHUNKED + b"%x\r\n%s\r\n" % (len(PART), PART),
    CHUNKED + b"0\r\nX-Trailer: ",
    POST + b"X-Endless: ",
)


@pytest.mark.slow
def test_memory_stays_bounded_while_20_clients_send_without_end() -> None:
    """In a process of its own, whose peak of memory the kernel counts."""
    [port] = free_ports(1)
    limits = ("max_request_bytes=1000000", "max_batch_request_bytes=1000000", "head_timeout_s=2")
    overrides = [f"gateway.{each}" for each in (f"port={port}", *limits)]
    process = subprocess.Popen(
        [sys.executable, "app.py", *overrides], cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL
    )

    def attack(start: bytes) -> None:
        piece = b"186a0\r\n" + bytes(100_000) + b"\r\n" if start.endswith(b"\r\n") else b"x" * 100_000
        with socket.create_connection(("127.0.0.1", port), timeout=GIVE_UP_S) as client:
            with suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(start)
                for _ in range(200):
                    client.sendall(piece)
            until_closed(client)

    def peak_bytes() -> int:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]

    try:
        until = time.monotonic() + GIVE_UP_S
        while not answers(f"http://127.0.0.1:{port}/health/live"):
            assert time.monotonic() < until
            time.sleep(0.05)
        before = peak_bytes()
        with ThreadPoolExecutor(20) as clients:
            list(clients.map(attack, ATTACKS * 4))
        # 20 MB from each of them; a body of 1 MB and the buffers around it may be held.
        assert peak_bytes() - before < 20 * 2_000_000
        assert answers(f"http://127.0.0.1:{port}/health/live")
    finally:
        process.terminate()
        assert process.wait(GIVE_UP_S) == 0
