"""An HTTP/1.1 connection to TorchServe: sends a request, parses its answer with llhttp."""

import asyncio
from collections.abc import Callable

import httptools
import httpx

from torchserve_gateway.torchserve_api.values import value

# As h11, the parser of httpx.
MAX_HEAD_BYTES = 102_400
FRAMING = frozenset({b"content-length", b"transfer-encoding"})


@value
class WholeAnswer:
    """An answer whose body has arrived."""

    status: int
    headers: list[tuple[bytes, bytes]]
    """Names in the case in which they were sent, and values."""
    body: bytes
    """As sent: a Content-Encoding is not decoded."""


class AnswerTooLargeError(Exception):
    """The answer's body is larger than allowed; the rest was not read."""


class HttpConnection(asyncio.Protocol):
    """Carries requests in sequence."""

    _transport: asyncio.Transport

    def __init__(self, max_answer_bytes: int, when_lost: Callable[["HttpConnection"], None]) -> None:
        self.idle_since = 0.0
        """When the last answer was complete, by the pool's clock."""
        self._max_answer_bytes = max_answer_bytes
        self._when_lost = when_lost
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[WholeAnswer] | None = None
        self._begin()

    @property
    def is_usable(self) -> bool:
        """Whether the next request may be sent."""
        return not self._transport.is_closing()

    async def ask(self, head: bytes, body: bytes) -> WholeAnswer:
        """Sends a request and waits for its answer; a caller that is cancelled closes the connection.

        Raises:
            httpx.RemoteProtocolError: the answer is not HTTP, or the connection closed before its end.
            httpx.ReadError: the connection broke.
            AnswerTooLargeError: the body exceeds `max_answer_bytes`.
        """
        answer: asyncio.Future[WholeAnswer] = asyncio.get_running_loop().create_future()
        self._answer = answer
        try:
            # asyncio of Python 3.12 and later never ends sending an empty piece.
            self._transport.writelines((head, body) if body else (head,))
            return await answer
        except BaseException:
            # A caller may be cancelled after its answer has arrived, too.
            self.close()
            raise
        finally:
            self._answer = None
            # The exception's traceback has this frame: a cycle would keep the request's body.
            del answer

    def close(self) -> None:
        """Closes the connection at once; bytes that are not sent are dropped."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keeps the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Parses a piece of the answer."""
        if self._answer is None or self._answer.done():
            # These bytes belong to no request.
            self.close()
            return
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            self._fail(httpx.RemoteProtocolError(f"the answer is not HTTP: {exc}"))
        if self._head_bytes > MAX_HEAD_BYTES:
            text = f"the answer's head, or its trailer, has over {MAX_HEAD_BYTES} bytes"
            self._fail(httpx.RemoteProtocolError(text))

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the answer: a body without a length ends with its connection."""
        if exc is None and self._in_body and not self._is_framed():
            self._end(keep_alive=False)
        elif exc is None:
            self._fail(httpx.RemoteProtocolError("the connection was closed before the answer was complete"))
        else:
            self._fail(httpx.ReadError(str(exc)))
        self._when_lost(self)

    def on_message_begin(self) -> None:
        """Closes the connection if the answer is complete: what follows belongs to no request."""
        if self._answer is None or self._answer.done():
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keeps a header; drops fields of a trailer."""
        if not self._in_body:
            # llhttp keeps white space behind a value.
            self._headers.append((name, value.rstrip(b"\t ")))

    def on_headers_complete(self) -> None:
        """Begins the body."""
        self._in_body = True

    def on_body(self, body: bytes) -> None:
        """Keeps a piece of the body."""
        self._body.append(body)
        self._body_bytes += len(body)
        self._head_bytes = 0
        if self._body_bytes > self._max_answer_bytes:
            self._fail(AnswerTooLargeError())

    def on_message_complete(self) -> None:
        """Ends the answer, unless it is an interim response (RFC 9110, 15.2)."""
        if self._parser.get_status_code() < 200:
            self._begin()
        else:
            self._end(keep_alive=self._parser.should_keep_alive())

    def _begin(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._head_bytes = self._body_bytes = 0
        self._in_body = False

    def _is_framed(self) -> bool:
        return any(name.lower() in FRAMING for name, _ in self._headers)

    def _end(self, *, keep_alive: bool) -> None:
        answer = WholeAnswer(self._parser.get_status_code(), self._headers, b"".join(self._body))
        self._begin()
        if not keep_alive:
            self.close()
        if self._answer and not self._answer.done():
            self._answer.set_result(answer)

    def _fail(self, exc: Exception) -> None:
        self._begin()
        self.close()
        if self._answer and not self._answer.done():
            self._answer.set_exception(exc)
