"""Cuts a byte stream where an HTTP/1.1 head or body may end."""

import re
from collections.abc import Iterator

LINE_END = b"\r\n"
EMPTY_LINE = LINE_END * 2
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]+")


class MessageBoundaries:
    """Cuts received data so that no piece holds bytes of two heads, or of a head and a body.

    llhttp does not report where in its input a message ends. A head and a chunked body end with an empty
    line, a body with Content-Length after that many bytes. Cutting there makes the size of a head exact,
    independent of packets.

    Attributes:
        head: The current message's head as received, empty between messages.
        in_body: True from the end of a head to the end of its message.
    """

    def __init__(self) -> None:
        self.head = bytearray()
        self.in_body = False
        self._in_chunks = False
        self._left = 0
        self._tail = b""

    def pieces(self, data: bytes) -> Iterator[memoryview]:
        """Yields the data in order; the parser reports state changes between two pieces."""
        view, start = memoryview(data), 0
        while start < len(data):
            end = self._end(data, start)
            piece = view[start:end]
            if not self.in_body:
                self.head += piece
            yield piece
            start = end

    def body_begins(self, length: int | None) -> None:
        """Ends the head. `length` is the body's in bytes, None for a chunked body."""
        self.in_body = True
        self._in_chunks = length is None
        self._left = length or 0

    def message_ends(self) -> None:
        """Ends the message."""
        self.in_body = False
        self.head.clear()

    def _end(self, data: bytes, start: int) -> int:
        """Returns the end of the head or body at `start`, at most the end of the data."""
        if self._in_chunks:
            start = self._end_of_chunks(data, start)
        elif self._left:
            return self._end_of_bytes(data, start)
        return start if self._in_chunks else self._end_of_lines(data, start)

    def _end_of_bytes(self, data: bytes, start: int) -> int:
        size = min(self._left, len(data) - start)
        self._left -= size
        return start + size

    def _end_of_chunks(self, data: bytes, start: int) -> int:
        """Returns the end of the last chunk's line; a cut at every chunk would cost more than parsing."""
        left = self._left
        while left <= len(data) - start:
            start += left
            line_end = data.find(b"\n", start) + 1
            if not line_end:
                self._tail += data[start:]
                self._left = 0
                return len(data)
            size = _chunk_size(self._tail + data[start:line_end])
            self._tail = b""
            start = line_end
            if not size:
                # Without a trailer, this line end is the first half of the empty line that ends the message.
                self._in_chunks, self._left, self._tail = False, 0, LINE_END
                return start
            left = size + len(LINE_END)
        self._left = left - (len(data) - start)
        return len(data)

    def _end_of_lines(self, data: bytes, start: int) -> int:
        """Returns the end of the next empty line, which may have begun in earlier data."""
        begun = (self._tail + data[start : start + 3]).find(EMPTY_LINE)
        found = start + begun - len(self._tail) if begun >= 0 else data.find(EMPTY_LINE, start)
        if begun < 0 and found < 0:
            self._tail = (self._tail + data[max(start, len(data) - 3) :])[-3:]
            return len(data)
        self._tail = b""
        return found + len(EMPTY_LINE)


def _chunk_size(line: bytes) -> int:
    try:
        # int() accepts a sign; llhttp refuses it.
        return max(int(line, 16), 0)
    except ValueError:
        # A chunk extension follows the size. llhttp refuses a line without a size.
        size = CHUNK_SIZE.match(line)
        return int(size[0], 16) if size else 0
