"""uvicorn's HTTP/1.1 protocol with strict parsing: bounded heads, RFC checks, no request smuggling.

uvicorn alone keeps a head or a chunked body's trailer in memory however long it is, and after an Upgrade
header parses the body as the next request.
"""

import asyncio
from http import HTTPStatus

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from torchserve_gateway.gateway.http1.message_boundaries import MessageBoundaries
from torchserve_gateway.gateway.http1.presence import PRESENCE, Presence
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

HEADER_NAMES = "gateway.header_names"
"""Key of `scope["extensions"]`; its value `{"names": [...]}` spells `scope["headers"]` as the client did."""


class StrictHttpProtocol(HttpToolsProtocol):
    """Refuses messages that cannot be served, or that two parsers could read differently."""

    presence: Presence
    """The client of the request that is parsed."""
    _unparsed_bytes = 0
    _header_names: list[bytes]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts with an empty message."""
        super().connection_made(transport)
        self._boundaries = MessageBoundaries()

    def on_message_begin(self) -> None:
        """Prepares the scope for a new head."""
        super().on_message_begin()
        self._header_names = []
        self.presence = Presence()
        self.scope["extensions"] = {
            HEADER_NAMES: {"names": self._header_names},
            PRESENCE: {"presence": self.presence},
        }

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keeps the name's spelling: handlers look headers up by it, and uvicorn lowers its case."""
        super().on_header(name, value)
        self._header_names.append(name)

    def on_url(self, url: bytes) -> None:
        """Adds a part of the request target and checks the size so far."""
        super().on_url(url)
        check_target_size(len(self.url))

    def on_headers_complete(self) -> None:
        """Checks the head, then hands the request to the application."""
        # RFC 9110, 5.5: surrounding white space is not part of a value.
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
        self._unparsed_bytes = 0
        super().on_headers_complete()
        self._boundaries.body_begins(content_length(self.headers))
        # New lists: the application keeps the head's, and trailer fields must not be added to them.
        self.headers, self._header_names = [], []

    def on_body(self, body: bytes) -> None:
        """Passes a part of the body on; the application limits its size."""
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends the body, unless the message only looks complete because of an Upgrade header."""
        if self.parser.should_upgrade():
            return
        self._boundaries.message_ends()
        self.presence.has_sent_all = True
        super().on_message_complete()

    def _parse(self, piece: memoryview) -> MessageRefusedError | None:
        """Parses bytes of at most one head or one body and returns the refusal, if any."""
        excess = len(self._boundaries.head) - MAX_HEAD_BYTES
        self._unparsed_bytes += len(piece)
        try:
            self._feed(piece[:-excess] if excess > 0 else piece)
        except httptools.HttpParserError as exc:
            # Returned, not raised again: a cycle of exceptions and frames would keep the bytes in memory.
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
        # llhttp ended the message at its head and awaits the next: feed the same head without the header.
        self.parser.feed_data(head)
