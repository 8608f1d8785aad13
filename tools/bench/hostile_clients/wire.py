"""HTTP/1.1 as bytes: requests that no client library would send, and conversations of them."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from dataclasses import dataclass, field

from tools.bench.hostile_clients.answers import Answer, NoAnswerError, parse_answers

# Far more than any answer takes, the gateway's time-outs included: a client that waits so long was forgotten.
GIVE_UP_S = 20.0
CLOSED = 0
"""In place of a status: the gateway closed the connection without an answer."""
AT_ONCE = 20


@dataclass(frozen=True)
class Target:
    """The gateway to attack. model: one that it serves; image: one that the model predicts."""

    host: str
    port: int
    model: str
    image: bytes


@dataclass(frozen=True)
class Request:
    """One request as it is sent. body: with a Content-Length, unless framed says that headers announce it."""

    method: str | bytes = "POST"
    path: str | bytes = "/predictions/genre"
    headers: Iterable[tuple[bytes, bytes]] = field(default_factory=tuple)
    body: bytes = b""
    framed: bool = True
    closes: bool = True

    @property
    def head(self) -> bytes:
        """Up to the empty line."""
        lines = [b"%s %s HTTP/1.1" % (_bytes(self.method), _bytes(self.path)), b"Host: gateway"]
        lines += [b"%s: %s" % header for header in self.headers]
        if self.framed and (self.body or self.method not in ("GET", "HEAD")):
            lines.append(b"Content-Length: %d" % len(self.body))
        if self.closes:
            lines.append(b"Connection: close")
        return b"\r\n".join(lines) + b"\r\n\r\n"

    @property
    def raw(self) -> bytes:
        """All of it."""
        return self.head + self.body


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


@contextlib.asynccontextmanager
async def connection(target: Target) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """One connection to the gateway."""
    reader, writer = await asyncio.open_connection(target.host, target.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def converse(
    target: Target,
    *packets: bytes,
    expected: int | None = None,
    pause_s: float = 0.0,
    half_closes: bool = False,
) -> list[Answer]:
    """Sends the packets, pause_s apart, and reads until so many answers came or the gateway closes.

    half_closes: says after the last packet that nothing more comes.

    Raises:
        NoAnswerError: neither happens within GIVE_UP_S, or what comes is no HTTP.
    """
    try:
        async with asyncio.timeout(GIVE_UP_S), connection(target) as (reader, writer):
            # A gateway that refuses need not read to the end.
            with contextlib.suppress(OSError):
                for packet in packets:
                    writer.write(packet)
                    await writer.drain()
                    await asyncio.sleep(pause_s)
                if half_closes:
                    writer.write_eof()
            return await _read(
                reader, expected, to_head=b"".join(packets).lstrip(b"\r\n").startswith(b"HEAD ")
            )
    except TimeoutError as exc:
        raise NoAnswerError(f"no answer within {GIVE_UP_S:g} s to {packets[0][:100]!r}") from exc


async def _read(reader: asyncio.StreamReader, expected: int | None, *, to_head: bool) -> list[Answer]:
    received, answers = b"", list[Answer]()
    while expected is None or len(answers) < expected:
        try:
            piece = await reader.read(65_536)
        except OSError:
            piece = b""
        if not piece:
            if received:
                raise NoAnswerError(f"the gateway closed the connection behind {received[:100]!r}")
            break
        complete, received = parse_answers(received + piece, to_head=to_head)
        answers += complete
        if to_head and answers:
            # What refuses the bytes of a request may not know the method, and have a body.
            return answers[:1]
    return answers


async def outcomes(conversations: Iterable[Awaitable[list[Answer]]]) -> Counter[int]:
    """Statuses that came, CLOSED for a conversation without any; AT_ONCE conversations run at a time."""
    counted: Counter[int] = Counter()
    waiting: Iterator[Awaitable[list[Answer]]] = iter(conversations)

    async def take_turns() -> None:
        for conversation in waiting:
            counted.update([answer.status for answer in await conversation] or [CLOSED])

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(take_turns())
    return counted
