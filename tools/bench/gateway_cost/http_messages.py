"""HTTP/1.1 messages with a Content-Length, parsed as little as a measurement needs."""

import asyncio

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


class MessageProtocol(asyncio.Protocol):
    """Calls `message_received` with each complete message of a connection."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._bytes = bytearray()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keeps the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Takes a piece of a message."""
        self._bytes += data
        while (size := _message_size(self._bytes)) and size <= len(self._bytes):
            message = bytes(self._bytes[:size])
            del self._bytes[:size]
            self.message_received(message)

    def message_received(self, message: bytes) -> None:
        """Takes a message, head and body."""
        raise NotImplementedError


class ClosedLoopClient(MessageProtocol):
    """A connection that ends once, well or with an error."""

    def __init__(self) -> None:
        super().__init__()
        self.answered = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends; the server should have waited for the client."""
        self.end(exc or ConnectionError("the server closed the connection"))

    def end(self, exc: Exception | None) -> None:
        """Closes the connection; exc: what is wrong with an answer, None if nothing is."""
        if self.ended.done():
            return
        if exc:
            self.ended.set_exception(exc)
        else:
            self.ended.set_result(None)
        self.transport.close()


def _message_size(received: bytearray) -> int:
    """Bytes of the first message; 0 while its head is incomplete."""
    end = received.find(HEAD_END)
    if end < 0:
        return 0
    head = bytes(received[:end]).lower()
    begin = head.find(LENGTH)
    length = int(head[begin + len(LENGTH) :].split(b"\r", 1)[0]) if begin >= 0 else 0
    return end + len(HEAD_END) + length
