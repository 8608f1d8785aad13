"""Decompresses request bodies (Content-Encoding, RFC 9110, 8.4) while they arrive."""

import zlib
from collections.abc import Iterator, Sequence
from typing import Protocol

from torchserve_gateway.gateway.errors import MalformedRequestError, UnsupportedEncodingError

SUPPORTED = ("gzip", "deflate")
# Limits of one zlib call, so that a client occupies little memory and the event loop only briefly.
INPUT_BYTES = 1 << 16
OUTPUT_BYTES = 1 << 18
# A gzip file of many 20-byte members costs far more than its size. Block compressors (bgzip, pigz -i) write
# a member for each 64 KiB.
MAX_MEMBERS = 1000
_HEAD_BYTES = 2


class Decoder(Protocol):
    """Decompresses a single body."""

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Yields the decompressed content of the next chunk, at most OUTPUT_BYTES at a time.

        Raises:
            MalformedRequestError: The body is damaged.
        """

    def finish(self) -> None:
        """Checks that the body is complete.

        Raises:
            MalformedRequestError: The body is truncated.
        """


def decoder_of(content_encodings: Sequence[str]) -> Decoder:
    """Returns the decoder for the values of all Content-Encoding headers.

    Raises:
        UnsupportedEncodingError: The coding is not in SUPPORTED, or there are several.
    """
    named = [name.strip().lower() for value in content_encodings for name in value.split(",")]
    codings = [name.removeprefix("x-") for name in named if name not in ("", "identity")]
    if not codings:
        return _Identity()
    if len(codings) == 1 and codings[0] in SUPPORTED:
        return _Inflater(codings[0])
    raise UnsupportedEncodingError(
        f"the Content-Encoding is {', '.join(content_encodings)[:50]!r}; "
        f"send the body with {' or '.join(SUPPORTED)}, or uncompressed"
    )


class _Identity:
    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk

    def finish(self) -> None:
        """Does nothing: every uncompressed body is complete."""


class _Inflater:
    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._head = b""
        self._stream: zlib._Decompress | None = None
        self._members = 1

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        if self._stream is None:
            self._head += chunk
            if len(self._head) < _HEAD_BYTES:
                return
            self._stream, chunk = zlib.decompressobj(self._window_bits()), self._head
        for begin in range(0, len(chunk), INPUT_BYTES):
            yield from self._inflated(self._stream, chunk[begin : begin + INPUT_BYTES])

    def finish(self) -> None:
        if self._stream is None or not self._stream.eof:
            raise MalformedRequestError(f"the body ends before the end of its {self._coding} data")

    def _window_bits(self) -> int:
        if self._coding == "gzip":
            return 16 + zlib.MAX_WBITS
        # `deflate` means zlib's format (RFC 1950), but many clients omit its header.
        has_header = self._head[0] & 0x0F == zlib.DEFLATED and int.from_bytes(self._head[:2]) % 31 == 0
        return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS

    def _inflated(self, stream: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
        is_full = False
        while data or is_full:
            if stream.eof:
                self._stream = stream = self._next_member()
            try:
                piece = stream.decompress(data, OUTPUT_BYTES)
            except zlib.error as exc:
                raise MalformedRequestError(f"the body is not {self._coding}, or is damaged: {exc}") from exc
            data = stream.unused_data or stream.unconsumed_tail
            is_full = len(piece) == OUTPUT_BYTES and not stream.eof
            if piece:
                yield piece

    def _next_member(self) -> "zlib._Decompress":
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise MalformedRequestError(f"the body has more than {MAX_MEMBERS} gzip members")
        if self._coding != "gzip":
            raise MalformedRequestError(f"the body continues after the end of its {self._coding} data")
        return zlib.decompressobj(self._window_bits())
