"""Content codings of a request (RFC 9110, 8.4), undone while the body arrives."""

import zlib
from collections.abc import Iterator, Sequence
from typing import Protocol

from torchserve_gateway.gateway.errors import MalformedRequestError, UnsupportedEncodingError

SUPPORTED = ("gzip", "deflate")
# Of one call of zlib, so that neither memory nor the event loop is the client's for long.
INPUT_BYTES = 1 << 16
OUTPUT_BYTES = 1 << 18
# A gzip of many members, 20 bytes each, costs far more than its size. Compressors that work in blocks
# (bgzip, pigz -i) make one a 64 KiB.
MAX_MEMBERS = 1000
_HEAD_BYTES = 2


class Decoder(Protocol):
    """Undoes the coding of one body."""

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """What the next bytes of the body add to the decoded one, at most OUTPUT_BYTES at a time.

        Raises:
            MalformedRequestError: they are damaged.
        """

    def finish(self) -> None:
        """Ends the body.

        Raises:
            MalformedRequestError: it breaks off.
        """


def decoder_of(content_encodings: Sequence[str]) -> Decoder:
    """The decoder for a body. content_encodings: the values of all its Content-Encoding headers.

    Raises:
        UnsupportedEncodingError: the coding is none of SUPPORTED, or more than one.
    """
    named = [name.strip().lower() for value in content_encodings for name in value.split(",")]
    codings = [name.removeprefix("x-") for name in named if name not in ("", "identity")]
    if not codings:
        return _Identity()
    if len(codings) == 1 and codings[0] in SUPPORTED:
        return _Inflater(codings[0])
    raise UnsupportedEncodingError(
        f"the Content-Encoding is {', '.join(content_encodings)[:50]!r}; "
        f"send the body with {' or '.join(SUPPORTED)}, or as it is"
    )


class _Identity:
    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk

    def finish(self) -> None:
        """Every body is complete."""


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
            raise MalformedRequestError(f"the body breaks off before the end of its {self._coding}")

    def _window_bits(self) -> int:
        if self._coding == "gzip":
            return 16 + zlib.MAX_WBITS
        # The coding has zlib's header (RFC 1950), which many clients leave out.
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
            raise MalformedRequestError(f"the body is more than {MAX_MEMBERS} gzip files in a row")
        if self._coding != "gzip":
            raise MalformedRequestError(f"the body goes on behind the end of its {self._coding}")
        return zlib.decompressobj(self._window_bits())
