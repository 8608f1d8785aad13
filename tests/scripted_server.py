"""A TCP server whose answers a test gives byte for byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

GIVE_UP_S = 30
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Asked:
    """A request as it arrived, and the connection to answer it on."""

    head: bytes
    body: bytes
    writer: asyncio.StreamWriter

    @property
    def lines(self) -> list[bytes]:
        return self.head.removesuffix(b"\r\n\r\n").split(b"\r\n")


Behaviour = Callable[[Asked], Awaitable[None]]


@dataclass
class ScriptedServer:
    """Counts what reaches it; `behave` may be replaced between requests."""

    behave: Behaviour
    url: str = ""
    requests: list[Asked] = field(default_factory=list)
    connections: int = 0
    """Connections that were opened."""
    open: set[asyncio.StreamWriter] = field(default_factory=set)
    """Connections that neither side has closed."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of a connection in sequence."""
        self.connections += 1
        self.open.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                asked = Asked(head, await reader.readexactly(_length(head)), writer)
                self.requests.append(asked)
                await self.behave(asked)
                await writer.drain()
        self.open.discard(writer)
        writer.close()


def _length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.split(b"\r\n")[0]) if found else 0


def says(*pieces: bytes, close: bool = False) -> Behaviour:
    """Sends the pieces, each in a packet of its own."""

    async def behave(asked: Asked) -> None:
        for piece in pieces:
            asked.writer.write(piece)
            await asked.writer.drain()
            # The client reads in between.
            await asyncio.sleep(0.002 if len(pieces) > 1 else 0)
        if close:
            asked.writer.close()

    return behave


async def silence(_: Asked) -> None:
    """Keeps the connection open and sends nothing."""
    await asyncio.sleep(3600)


@asynccontextmanager
async def scripted(
    behave: Behaviour, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[ScriptedServer]:
    """Serves on a free port of loopback until the block ends."""
    scripted = ScriptedServer(behave)
    tasks = set[asyncio.Task[None]]()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(scripted.serve(reader, writer)))

    server = await asyncio.start_server(accept, host, 0, ssl=tls, limit=1_000_000)
    port = server.sockets[0].getsockname()[1]
    named = "localhost" if tls else f"[{host}]" if ":" in host else host
    scripted.url = f"http{'s' if tls else ''}://{named}:{port}"
    yield scripted
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for writer in scripted.open:
        writer.close()


async def until(holds: Callable[[], object]) -> None:
    """Returns when `holds()` does."""
    async with asyncio.timeout(GIVE_UP_S):
        while not holds():  # noqa: ASYNC110 - the other side of a connection has no event
            await asyncio.sleep(0.002)
