"""The server's HTTP/1.1 protocol: strict parsing, a time limit for heads, orderly closing.

uvicorn alone waits without limit for a request's head.
"""

import asyncio
from http import HTTPStatus
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from torchserve_gateway.gateway.http1.presence import presence_in
from torchserve_gateway.gateway.http1.presence_probes import PresenceProbes
from torchserve_gateway.gateway.http1.refusals import MessageRefusedError
from torchserve_gateway.gateway.http1.strict_protocol import StrictHttpProtocol

CLOSE_NOTIFY_S = 2
"""Seconds that a stopping gateway waits for the end of a client's TLS."""


class BoundedHttpProtocol(StrictHttpProtocol):
    """Closes connections that exceed a limit of time or bytes outside an awaited body.

    The application limits the body that it awaits. When it answers before the body is complete, the rest is
    discarded for at most `head_timeout_s`. An unreadable message is refused after the answers to the
    complete requests before it; bytes behind it are not parsed.
    """

    head_timeout_s: ClassVar[float]
    """Seconds for a request's head, from the connection or from the head's first byte."""

    _timer: asyncio.TimerHandle | None = None
    _answered = False
    _in_head = False
    _active: RequestResponseCycle | None = None
    """The request that the application is answering; requests parsed after it wait."""
    _probes: PresenceProbes | None = None
    _tls_end: asyncio.TimerHandle | None = None
    _last_bytes: bytes | None = None
    """Sent before the connection closes, once the complete requests are answered."""

    @classmethod
    def with_timeout(cls, head_timeout_s: float) -> type["BoundedHttpProtocol"]:
        """Returns the class bound to its setting, because uvicorn creates the instances."""
        return type(cls.__name__, (cls,), {"head_timeout_s": head_timeout_s})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the time limit of the first head."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the timers and tells the application that its client has gone."""
        self._stop_timer()
        if self._tls_end:
            self._tls_end.cancel()
        if self._probes:
            self._probes.stop()
            # A reference cycle would keep the request's body until the garbage collector runs.
            self._probes = None
        if self._active:
            # uvicorn tells only the last request.
            self._active.disconnected = True
            self._active.message_event.set()
            presence = presence_in(self._active.scope)
            if presence and presence.when_gone:
                presence.when_gone()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses data; on an idle connection the time limit of the next head starts."""
        if self._last_bytes is not None:
            return
        self._unset_keepalive_if_required()
        for piece in self._boundaries.pieces(data):
            if refusal := self._parse(piece):
                self._refuse(refusal)
                break
        # Most heads arrive in one piece, and need no timer.
        if self._answered and not self._timer:
            self._start_timer()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answers a half-closed connection's complete requests; TLS has no half-closed connections.

        A closed connection looks the same until the gateway sends something, so probes run until the answer.
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
        """Marks the start of a head."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Ends the head's time limit; from here on the application's limits apply."""
        super().on_headers_complete()
        if self.parser.should_upgrade():
            return
        self._stop_timer()
        self._in_head = self._answered = False
        if not self.pipeline:
            self._active = self.cycle

    def on_response_complete(self) -> None:
        """Turns to the next request, closes the connection, or leaves it to uvicorn's keep-alive time-out."""
        self._active = self.pipeline[-1][0] if self.pipeline else None
        self._answered = not self.pipeline
        if self._answered and self._last_bytes is not None:
            self._close(self._last_bytes)
        super().on_response_complete()
        if self._answered and self._in_head:
            self._start_timer()

    def shutdown(self) -> None:
        """Closes the connection, after the answer in flight.

        An idle client of TLS reads no end of it and sends none, until it uses the connection again.
        """
        super().shutdown()
        if self.scheme == "https":
            self._tls_end = self.loop.call_later(CLOSE_NOTIFY_S, self._end_tls)

    def _end_tls(self) -> None:
        is_idle = self.cycle is None or self.cycle.response_complete
        if is_idle and not self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self._tls_end = self.loop.call_later(CLOSE_NOTIFY_S, self._end_tls)

    def _refuse(self, refusal: MessageRefusedError) -> None:
        self.logger.warning("refused malformed bytes: %s", refusal)
        self._end_with(refusal.response())

    def _end_with(self, last_bytes: bytes) -> None:
        """Closes the connection after `last_bytes`, and after the answers to the complete requests."""
        is_awaited = self._active is not None
        if self._boundaries.in_body and self.pipeline:
            # Drop the incomplete request, the last in line.
            self.pipeline.popleft()
        elif self._boundaries.in_body:
            # The application has the incomplete request: suppress its answer, the refusal replaces it.
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
