"""uvicorn's HTTP/1.1 protocol with the bounds that uvicorn leaves to a proxy in front.

By itself it waits for ever for a request's head, keeps all of it in memory however long it is, and does the
same with the trailer of a chunked body.
"""

import asyncio
import json
import uuid
from http import HTTPStatus
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEAD_BYTES = 65_536
# In `scope["extensions"]`, as `{"names": [...]}`: the names of `scope["headers"]`, in the client's own case.
HEADER_NAMES = "gateway.header_names"


class BoundedHttpProtocol(HttpToolsProtocol):
    """Closes a connection that takes too long, or too many bytes, for anything but an awaited body.

    An awaited body is the application's to bound. When it answers before the body is in, the rest is
    discarded, for as long as a head may take.
    """

    head_timeout_s: ClassVar[float]

    _timer: asyncio.TimerHandle | None = None
    _answered = False
    _in_head = False
    _unparsed_bytes = 0
    _header_names: list[bytes]

    @classmethod
    def with_timeout(cls, head_timeout_s: float) -> type["BoundedHttpProtocol"]:
        """The protocol with its one setting; uvicorn makes its own instances."""
        return type(cls.__name__, (cls,), {"head_timeout_s": head_timeout_s})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The client has until the time-out for its first head."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left to time."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses what came; an idle connection's time runs from here."""
        if self._answered and not self._timer:
            self._start_timer()
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self._unparsed_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(HTTPStatus.BAD_REQUEST, f"the head or trailer has over {MAX_HEAD_BYTES} bytes")

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

    def on_headers_complete(self) -> None:
        """A head is complete: from here on the application decides."""
        self._stop_timer()
        self._in_head = self._answered = False
        self._unparsed_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of the body came; the application counts it."""
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Unless the next request is there already, uvicorn's keep-alive time-out runs until data comes."""
        self._answered = not self.pipeline
        super().on_response_complete()
        if self._answered and self._in_head:
            self._start_timer()

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP like everything else that is malformed."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answers without the application and closes the connection."""
        request_id = uuid.uuid4().hex
        type_ = f"urn:problem:{status.phrase.lower().replace(' ', '-')}"
        problem = {"type": type_, "title": status.phrase, "status": status, "detail": detail}
        body = json.dumps(problem | {"request_id": request_id}).encode()
        head = (
            f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[status] + head.encode() + body)
        self.transport.close()

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
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"no complete head within {self.head_timeout_s:g} s")
        else:
            self.transport.close()
