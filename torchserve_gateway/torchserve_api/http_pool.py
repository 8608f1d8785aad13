"""An httpx transport for one upstream's small answers, with a fraction of the cost of httpx's own.

httpcore, httpx's own transport, is over half of a gateway's CPU time; aiohttp cannot send header values that
are not UTF-8, which handlers and clients exchange. `make bench_gateway` shows the cost of a request.
"""

import asyncio
import re
import ssl
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from time import monotonic

import httpx

from torchserve_gateway.torchserve_api.http_connection import HttpConnection, WholeAnswer

# Proxies close connections that are idle for longer; a request sent at that moment would be lost.
KEPT_IDLE_S = 5.0
PIECE_BYTES = 65_536
# RFC 9112: a value of a header must not end it, or the head.
_HEAD = re.compile(
    rb"[A-Z]+ [\x21-\x7e]+ HTTP/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*\r\n)*\r\n"
)

Origin = tuple[bytes, bytes, int | None]
"""Scheme, host and port; no port stands for the scheme's own."""


class PooledTransport(httpx.AsyncBaseTransport):
    """Sends each request through a connection of its own, and keeps connections for the next requests.

    Reads the whole body before it returns. Of httpx's time-outs, `connect` limits connecting, and `read` the
    whole answer.

    Args:
        tls: None for the certificate authorities of this machine.
        max_answer_bytes: Limit of a body; above it `AnswerTooLargeError` is raised.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, max_answer_bytes: int = sys.maxsize) -> None:
        self._tls = tls
        self._max_answer_bytes = max_answer_bytes
        # The last one in is the first one out, so that the others become idle for long enough to be closed.
        self._idle: dict[Origin, list[HttpConnection]] = defaultdict(list)
        self._open: set[HttpConnection] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request, as httpx's transports do.

        Raises:
            httpx.TransportError: as the subclass that fits.
            AnswerTooLargeError: the body exceeds `max_answer_bytes`.
        """
        url, body = request.url, await request.aread()
        head = head_of(request.method, url.raw_path, request.headers.raw)
        timeouts = request.extensions.get("timeout", {})
        read_s = timeouts.get("read")
        origin = url.raw_scheme, url.raw_host, url.port
        try:
            async with asyncio.timeout(read_s):
                answer = await self.ask(origin, head, body, timeouts.get("connect"))
        except TimeoutError as exc:
            raise httpx.ReadTimeout(f"no complete answer within {read_s:g} s") from exc
        return response_of(answer)

    async def ask(
        self, origin: Origin, head: bytes, body: bytes, connect_timeout_s: float | None
    ) -> WholeAnswer:
        """Sends a request without httpx's objects, which cost as much as the rest of the call.

        Args:
            origin: Scheme, host and port as in `httpx.URL`.
            head: Head of the request, see `head_of`.
            body: Body of the request.
            connect_timeout_s: Seconds to connect; None for no limit.

        Raises:
            httpx.TransportError: as the subclass that fits.
            AnswerTooLargeError: the body exceeds `max_answer_bytes`.
        """
        connection = self._idle_connection(origin) or await self._connected(origin, connect_timeout_s)
        answer = await connection.ask(head, body)
        if connection.is_usable:
            connection.idle_since = monotonic()
            self._idle[origin].append(connection)
        return answer

    async def aclose(self) -> None:
        """Closes all connections."""
        for connection in tuple(self._open):
            connection.close()

    def _idle_connection(self, origin: Origin) -> HttpConnection | None:
        idle = self._idle[origin]
        closed_before = monotonic() - KEPT_IDLE_S
        while idle and idle[0].idle_since < closed_before:
            idle.pop(0).close()
        while idle:
            connection = idle.pop()
            if connection.is_usable:
                return connection
        return None

    async def _connected(self, origin: Origin, timeout_s: float | None) -> HttpConnection:
        scheme, host, port = origin
        tls = self._context() if scheme == b"https" else None
        connect = asyncio.get_running_loop().create_connection
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await connect(
                    lambda: HttpConnection(self._max_answer_bytes, self._open.discard),
                    host.decode("ascii"),
                    port or (443 if tls else 80),
                    ssl=tls,
                )
        except TimeoutError as exc:
            # Without a limit of ours it is the operating system's.
            text = f"no connection within {timeout_s:g} s" if timeout_s is not None else str(exc)
            raise httpx.ConnectTimeout(text) from exc
        except OSError as exc:
            raise httpx.ConnectError(str(exc)) from exc
        self._open.add(connection)
        return connection

    def _context(self) -> ssl.SSLContext:
        # Made once: it reads all certificates of the machine.
        self._tls = self._tls or httpx.create_ssl_context(trust_env=False)
        return self._tls


class _Pieces(httpx.AsyncByteStream):
    """A body that has arrived, in pieces, so that decoding a Content-Encoding stays bounded."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for begin in range(0, len(self._content), PIECE_BYTES):
            yield self._content[begin : begin + PIECE_BYTES]


def response_of(answer: WholeAnswer) -> httpx.Response:
    """The answer as httpx's, its body to be read and decoded."""
    return httpx.Response(answer.status, headers=answer.headers, stream=_Pieces(answer.body))


def head_of(method: str, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Builds the head of a request.

    Raises:
        httpx.LocalProtocolError: a part has characters that would change the request.
    """
    lines = [b"%s: %s\r\n" % header for header in headers]
    head = b"%s %s HTTP/1.1\r\n%s\r\n" % (method.encode("ascii"), target, b"".join(lines))
    # A part that holds a line break would pass as two headers.
    if head.count(b"\n") != len(lines) + 2 or not _HEAD.fullmatch(head):
        raise httpx.LocalProtocolError("the request's head has characters that HTTP does not allow")
    return head
