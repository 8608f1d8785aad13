"""Sends HTTP/1.1 as bytes: requests that no client library would send."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from dataclasses import dataclass, field

from tools.bench.hostile_clients.answers import Answer, NoAnswerError, parse_answers

# Above all time-outs of the gateway: a longer wait has no end.
GIVE_UP_S = 20.0
CLOSED = 0
"""Status of a connection that the gateway closed without an answer."""
AT_ONCE = 20
"""Conversations at a time."""


@dataclass(frozen=True)
class Target:
    """The gateway to attack."""

    host: str
    port: int
    model: str
    """A model that it serves."""
    image: bytes
    """An encoded image that the model accepts."""


@dataclass(frozen=True)
class Request:
    """A request, byte by byte."""

    method: str | bytes = "POST"
    path: str | bytes = "/predictions/genre"
    headers: Iterable[tuple[bytes, bytes]] = field(default_factory=tuple)
    body: bytes = b""
    framed: bool = True
    """Whether a Content-Length announces the body; otherwise `headers` frame it."""
    closes: bool = True
    """Whether the request asks to close the connection."""

    @property
    def head(self) -> bytes:
        """Bytes up to the empty line."""
        lines = [b"%s %s HTTP/1.1" % (_bytes(self.method), _bytes(self.path)), b"Host: gateway"]
        lines += [b"%s: %s" % header for header in self.headers]
        if self.framed and (self.body or self.method not in ("GET", "HEAD")):
            lines.append(b"Content-Length: %d" % len(self.body))
        if self.closes:
            lines.append(b"Connection: close")
        return b"\r\n".join(lines) + b"\r\n\r\n"

    @property
    def raw(self) -> bytes:
        """Bytes of the whole request."""
        return self.head + self.body


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


@contextlib.asynccontextmanager
async def connection(target: Target) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Opens a connection to the gateway and closes it at the end."""
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
    """Sends packets, pause_s apart, and reads `expected` answers or until the gateway closes.

    half_closes: half-closes the connection after the last packet.

    Raises:
        NoAnswerError: neither happens within GIVE_UP_S, or the answer is not HTTP.
    """
    try:
        async with asyncio.timeout(GIVE_UP_S), connection(target) as (reader, writer):
            # A gateway that refuses may stop reading.
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
            # A refusal of malformed bytes ignores the method and may have a body.
            return answers[:1]
    return answers


async def outcomes(conversations: Iterable[Awaitable[list[Answer]]]) -> Counter[int]:
    """Runs conversations and counts their statuses, CLOSED for a conversation without answers."""
    counted: Counter[int] = Counter()
    waiting: Iterator[Awaitable[list[Answer]]] = iter(conversations)

    async def take_turns() -> None:
        for conversation in waiting:
            counted.update([answer.status for answer in await conversation] or [CLOSED])

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(take_turns())
    return counted
