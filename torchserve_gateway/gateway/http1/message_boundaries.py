"""Where one HTTP/1.1 message's head and body can end in a stream of bytes."""

import re
from collections.abc import Iterator

LINE_END = b"\r\n"
EMPTY_LINE = LINE_END * 2
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]+")


class MessageBoundaries:
    """Cuts what a connection receives so that no piece has bytes of two heads, or of a head and a body.

    llhttp does not tell where in its input a message ends. A head and a chunked body end with an empty line,
    a body of a known length after its bytes. With cuts there, heads are measured to the byte, whatever the
    packets.

    Attributes:
        head: The current message's head as it came, empty between messages.
        in_body: The head is complete, the message is not.
    """

    def __init__(self) -> None:
        self.head = bytearray()
        self.in_body = False
        self._in_chunks = False
        self._left = 0
        self._tail = b""

    def pieces(self, data: bytes) -> Iterator[memoryview]:
        """The bytes in order; between two pieces the parser says what comes next."""
        view, start = memoryview(data), 0
        while start < len(data):
            end = self._end(data, start)
            piece = view[start:end]
            if not self.in_body:
                self.head += piece
            yield piece
            start = end

    def body_begins(self, length: int | None) -> None:
        """The head is complete. length: of the body in bytes, None where it is chunked."""
        self.in_body = True
        self._in_chunks = length is None
        self._left = length or 0

    def message_ends(self) -> None:
        """The message is complete."""
        self.in_body = False
        self.head.clear()

    def _end(self, data: bytes, start: int) -> int:
        """Where the head or body that has a part at `start` ends, at most where the data ends."""
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
        """Where the line of the last chunk ends; a cut at every chunk would cost more than the parser."""
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
                # The end of this line is the first half of an empty line, where no trailer follows.
                self._in_chunks, self._left, self._tail = False, 0, LINE_END
                return start
            left = size + len(LINE_END)
        self._left = left - (len(data) - start)
        return len(data)

    def _end_of_lines(self, data: bytes, start: int) -> int:
        """Where the next empty line ends; it may have begun in the data before."""
        begun = (self._tail + data[start : start + 3]).find(EMPTY_LINE)
        found = start + begun - len(self._tail) if begun >= 0 else data.find(EMPTY_LINE, start)
        if begun < 0 and found < 0:
            self._tail = (self._tail + data[max(start, len(data) - 3) :])[-3:]
            return len(data)
        self._tail = b""
        return found + len(EMPTY_LINE)


def _chunk_size(line: bytes) -> int:
    try:
        # llhttp refuses signs.
        return max(int(line, 16), 0)
    except ValueError:
        # An extension follows; or no number comes first, which llhttp refuses.
        size = CHUNK_SIZE.match(line)
        return int(size[0], 16) if size else 0
