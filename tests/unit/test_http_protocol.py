"""The protocol alone: what it makes of the same bytes does not depend on the packets that they come in."""

import asyncio
import re
from collections.abc import Iterable
from itertools import pairwise

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from tests.http_messages import BODY, HEAD, LAST, REFUSED, SERVED, UNKNOWN_METHODS, asking
from torchserve_gateway.gateway.http1.protocol import BoundedHttpProtocol
from torchserve_gateway.gateway.http1.request_heads import MAX_HEAD_BYTES, MAX_TARGET_BYTES

Request = tuple[str, str, list[bytes], bytes]
"""Method, path, Host headers and body as the application gets them."""


class Connection(asyncio.Transport):
    """The client's end. written: what it got."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self._closing, "written after the connection was closed"
        self.written += data

    def close(self) -> None:
        self._closing = True

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        """The test sends what it has anyway."""

    def resume_reading(self) -> None:
        """As above."""


async def exchange(packets: Iterable[bytes]) -> tuple[list[Request], Connection]:
    """What an application behind the protocol received, and what its client did."""
    received: list[Request] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        received.append((scope["method"], scope["path"], hosts, body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, ws="none", log_config=None)
    protocol = BoundedHttpProtocol.with_timeout(60)(config=config, server_state=ServerState(), app_state={})
    connection = Connection()
    protocol.connection_made(connection)
    for packet in packets:
        if not connection.is_closing():
            protocol.data_received(packet)
        await asyncio.sleep(0)
    while protocol.tasks and not connection.is_closing():
        await asyncio.wait(protocol.tasks, return_when=asyncio.FIRST_COMPLETED)
    protocol.connection_lost(None)
    await asyncio.gather(*protocol.tasks)
    return received, connection


def statuses(connection: Connection) -> list[int]:
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d{3}) ", connection.written)]


def in_two(message: bytes) -> list[list[bytes]]:
    """In two packets, split at every fifth byte of the first and last few hundred."""
    ends = {*range(1, min(len(message), 400), 5), *range(max(1, len(message) - 400), len(message), 5)}
    return [[message[:end], message[end:]] for end in sorted(ends)]


def one_by_one(message: bytes) -> list[bytes]:
    return [message[index : index + 1] for index in range(len(message))]


@pytest.mark.parametrize("message", SERVED.values(), ids=SERVED)
async def test_the_application_gets_one_whole_body_whatever_the_packets(message: bytes) -> None:
    stream = message + LAST
    for packets in ([stream], [message, LAST], one_by_one(stream), *in_two(stream)):
        received, connection = await exchange(packets)
        asked = [(method, path, body) for method, path, _, body in received]
        assert asked == [("POST", "/predictions/other", BODY), ("GET", "/health/live", b"")]
        assert statuses(connection) == [200, 200]
        assert connection.is_closing()


@pytest.mark.parametrize(("status", "message"), REFUSED.values(), ids=REFUSED)
async def test_what_is_no_request_is_refused_whatever_the_packets(status: int, message: bytes) -> None:
    stream = message + LAST
    streams = [[stream], [message, LAST], *in_two(stream)]
    for packets in streams if len(stream) > 20_000 else [*streams, one_by_one(stream)]:
        received, connection = await exchange(packets)
        assert received == []
        assert statuses(connection) == [status]
        assert connection.is_closing()


@pytest.mark.parametrize("message", UNKNOWN_METHODS.values(), ids=UNKNOWN_METHODS)
async def test_an_unknown_method_is_refused(message: bytes) -> None:
    for packets, status in (([message + LAST], 501), (one_by_one(message + LAST), 400)):
        received, connection = await exchange(packets)
        assert (received, statuses(connection), connection.is_closing()) == ([], [status], True)


@pytest.mark.parametrize("bad", [b"bad\r\n\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"])
async def test_a_refusal_waits_for_the_answers_before_it(bad: bytes) -> None:
    stream = SERVED["a length"] * 2 + bad + LAST
    for packets in ([stream], one_by_one(stream), *in_two(stream)):
        received, connection = await exchange(packets)
        assert [body for *_, body in received] == [BODY, BODY]
        assert statuses(connection) == [200, 200, 400]
        assert connection.is_closing()


@pytest.mark.parametrize("start", [b"0\r\nX-A: ", b"5;a="])
async def test_a_trailer_or_an_extension_without_end_is_refused(start: bytes) -> None:
    packets = [HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + start, *[b"b" * 1000] * 70, b"\r\n\r\n", LAST]
    received, connection = await exchange(packets)
    assert (received, statuses(connection), connection.is_closing()) == ([], [400], True)


@pytest.mark.parametrize("before", [b"", SERVED["a length"], SERVED["chunks"], SERVED["a trailer"]])
@pytest.mark.parametrize("body", [b"", b"x" * 100_000])
@pytest.mark.parametrize("excess", [0, 1])
async def test_the_limit_on_a_head_counts_its_bytes_and_no_others(
    before: bytes, body: bytes, excess: int
) -> None:
    begin = HEAD + b"Content-Length: %d\r\nX-Long: " % len(body)
    head = begin + b"x" * (MAX_HEAD_BYTES - len(begin) - 4 + excess) + b"\r\n\r\n"
    assert len(head) == MAX_HEAD_BYTES + excess
    answers = [200] * bool(before) + ([431] if excess else [200, 200])
    stream = before + head + body + LAST
    for packets in ([stream], [before + head[:-1], head[-1:] + body + LAST], *in_two(stream)[::10]):
        _, connection = await exchange([each for each in packets if each])
        assert statuses(connection) == answers


@pytest.mark.parametrize(("excess", "status"), [(0, 200), (1, 414)])
async def test_the_limit_on_a_target_is_exact(excess: int, status: int) -> None:
    message = asking(b"GET /" + b"a" * (MAX_TARGET_BYTES - 1 + excess) + b" HTTP/1.1", b"Host: gateway")
    for packets in ([message], one_by_one(message)):
        _, connection = await exchange(packets)
        assert statuses(connection) == [status]


async def test_the_absolute_form_names_the_host() -> None:
    received, _ = await exchange([asking(b"GET http://api.example.com:80?x HTTP/1.1", b"Host: evil")])
    assert received == [("GET", "/", [b"api.example.com:80"], b"")]


async def test_a_trailer_does_not_become_a_header() -> None:
    received, _ = await exchange([SERVED["a trailer"]])
    assert [hosts for _, _, hosts, _ in received] == [[b"gateway"]]


WHOLE = st.sampled_from(sorted(SERVED))
PARTS = st.lists(st.integers(0, 3000), max_size=30)


@given(st.lists(WHOLE, min_size=1, max_size=5), PARTS)
async def test_pipelined_requests_are_taken_apart_the_same_in_any_packets(
    names: list[str], parts: list[int]
) -> None:
    stream = b"".join(SERVED[name] for name in names) + LAST
    ends = sorted({0, len(stream), *(part % len(stream) for part in parts)})
    packets = [stream[start:end] for start, end in pairwise(ends)]
    received, connection = await exchange(packets)
    assert [body for *_, body in received] == [BODY] * len(names) + [b""]
    assert statuses(connection) == [200] * (len(names) + 1)
