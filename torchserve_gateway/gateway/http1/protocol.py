"""uvicorn's HTTP/1.1 protocol with the bounds that uvicorn leaves to a proxy in front.

By itself it waits without end for a request's head, keeps all of it in memory however long it is, and does
the same with the trailer of a chunked body. After an Upgrade header it takes the body for the next request.
"""

import asyncio
from http import HTTPStatus
from typing import ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from torchserve_gateway.gateway.http1.message_boundaries import MessageBoundaries
from torchserve_gateway.gateway.http1.presence_probes import PresenceProbes
from torchserve_gateway.gateway.http1.refusals import MessageRefusedError
from torchserve_gateway.gateway.http1.request_heads import (
    MAX_HEAD_BYTES,
    check_head,
    check_target_size,
    content_length,
    refusal_of,
    split_target,
    without_upgrade,
)

# In `scope["extensions"]`, as `{"names": [...]}`: the names of `scope["headers"]`, in the client's own case.
HEADER_NAMES = "gateway.header_names"


class BoundedHttpProtocol(HttpToolsProtocol):
    """Closes a connection that takes too long, or too many bytes, for anything but an awaited body.

    An awaited body is the application's to bound. When it answers before the body is in, the rest is
    discarded, for as long as a head may take. What cannot be read is refused after the answers to the
    complete requests before it, and nothing behind it is parsed.
    """

    head_timeout_s: ClassVar[float]

    _timer: asyncio.TimerHandle | None = None
    _answered = False
    _in_head = False
    _unparsed_bytes = 0
    _header_names: list[bytes]
    _active: RequestResponseCycle | None = None
    """The request that the application answers now; those that uvicorn has parsed since wait."""
    _probes: PresenceProbes | None = None
    _last_bytes: bytes | None = None
    """What is sent before the connection is closed, once the complete requests are answered."""

    @classmethod
    def with_timeout(cls, head_timeout_s: float) -> type["BoundedHttpProtocol"]:
        """The protocol with its one setting; uvicorn makes its own instances."""
        return type(cls.__name__, (cls,), {"head_timeout_s": head_timeout_s})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The client has until the time-out for its first head."""
        super().connection_made(transport)
        self._boundaries = MessageBoundaries()
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left to time; the application learns that nobody awaits its answer."""
        self._stop_timer()
        if self._probes:
            self._probes.stop()
            # It refers to this object, which would keep the request's body until the garbage collector runs.
            self._probes = None
        if self._active:
            # uvicorn tells the last request only.
            self._active.disconnected = True
            self._active.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses what came; an idle connection's time runs from here."""
        if self._last_bytes is not None:
            return
        self._unset_keepalive_if_required()
        if self._answered and not self._timer:
            self._start_timer()
        for piece in self._boundaries.pieces(data):
            if refusal := self._parse(piece):
                self._refuse(refusal)
                break

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that only stops sending still gets its answers; over TLS no client can.

        A client that has gone looks the same until something is sent to it.
        """
        if self.scheme == "https":
            return False
        if self._last_bytes is None:
            self._end_with(b"")
        if self._last_bytes is not None:
            self._probes = PresenceProbes(self.transport, self._may_probe)
            self._probes.start()
        return self._last_bytes is not None

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        super().on_message_begin()
        self._header_names = []
        self.scope["extensions"] = {HEADER_NAMES: {"names": self._header_names}}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keeps the name as it came: handlers look headers up by it, and uvicorn lowers its case."""
        super().on_header(name, value)
        self._header_names.append(name)

    def on_url(self, url: bytes) -> None:
        """A part of the target came."""
        super().on_url(url)
        check_target_size(len(self.url))

    def on_headers_complete(self) -> None:
        """A head is complete: from here on the application decides."""
        # White space around a value is not part of it.
        self.headers[:] = [(name, value.strip(b" \t")) for name, value in self.headers]
        check_head(self._boundaries.head, self.parser.get_method(), self.url, self.headers)
        if self.parser.should_upgrade():
            return
        authority, self.url = split_target(self.url)
        if authority is not None:
            self.headers[:] = [(b"host", authority), *(each for each in self.headers if each[0] != b"host")]
            self._header_names[:] = [name for name, _ in self.headers]
        if self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False
        self._stop_timer()
        self._in_head = self._answered = False
        self._unparsed_bytes = 0
        super().on_headers_complete()
        if not self.pipeline:
            self._active = self.cycle
        self._boundaries.body_begins(content_length(self.headers))
        # Fields of a trailer are not fields of the head, which the application has.
        self.headers, self._header_names = [], []

    def on_body(self, body: bytes) -> None:
        """Some of the body came; the application counts it."""
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A body is complete."""
        if self.parser.should_upgrade():
            return
        self._boundaries.message_ends()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Unless the next request is there already, uvicorn's keep-alive time-out runs until data comes."""
        self._active = self.pipeline[-1][0] if self.pipeline else None
        self._answered = not self.pipeline
        if self._answered and self._last_bytes is not None:
            self._close(self._last_bytes)
        super().on_response_complete()
        if self._answered and self._in_head:
            self._start_timer()

    def _parse(self, piece: memoryview) -> MessageRefusedError | None:
        """Parses bytes of no more than one head or one body, unless they are to be refused."""
        excess = len(self._boundaries.head) - MAX_HEAD_BYTES
        self._unparsed_bytes += len(piece)
        try:
            self._feed(piece[:-excess] if excess > 0 else piece)
        except httptools.HttpParserError as exc:
            # Not raised again: a cycle of exceptions and frames would keep the bytes.
            return refusal_of(exc, self._boundaries.head)
        if excess > 0:
            detail = f"the head has over {MAX_HEAD_BYTES} bytes"
            return MessageRefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
        if self._boundaries.in_body and self._unparsed_bytes > MAX_HEAD_BYTES:
            detail = f"a chunk's extension, or the trailer, has over {MAX_HEAD_BYTES} bytes"
            return MessageRefusedError(HTTPStatus.BAD_REQUEST, detail)
        return None

    def _feed(self, piece: memoryview) -> None:
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            method, version = self.parser.get_method(), self.parser.get_http_version()
            head = without_upgrade(method, self.url, version, self.headers)
        else:
            return
        # llhttp ended the message at its head and awaits the next: the same, without the header.
        self.parser.feed_data(head)

    def _refuse(self, refusal: MessageRefusedError) -> None:
        self.logger.warning("refused what a client sent: %s", refusal)
        self._end_with(refusal.response())

    def _end_with(self, last_bytes: bytes) -> None:
        """Closes the connection after `last_bytes`, and after the answers to the complete requests."""
        is_awaited = self._active is not None
        if self._boundaries.in_body and self.pipeline:
            # The incomplete request, the last in line, is dropped.
            self.pipeline.popleft()
        elif self._boundaries.in_body:
            # It is the application's already, whose answer would be a second one from here on.
            is_awaited = False
            self.cycle.disconnected = True
            if self.cycle.response_started:
                last_bytes = b""
        if is_awaited:
            self._last_bytes = last_bytes
        else:
            self._close(last_bytes)

    def _close(self, last_bytes: bytes) -> None:
        if self.transport.is_closing():
            return
        if last_bytes:
            self.transport.write(last_bytes)
        self.transport.close()

    def _may_probe(self) -> bool:
        cycle = self._active
        return cycle is not None and not cycle.response_started and cycle.scope["http_version"] == "1.1"

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self.head_timeout_s, self._time_out)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        if self.transport.is_closing():
            return
        if self._in_head:
            detail = f"no complete head within {self.head_timeout_s:g} s"
            self._refuse(MessageRefusedError(HTTPStatus.REQUEST_TIMEOUT, detail))
        else:
            self.transport.close()
