"""Attacks by connections: slow, many, half closed, or closed before their answer."""

import asyncio
import contextlib
from collections import Counter

from tools.bench.hostile_clients.attack import REFUSED, TIMED_OUT, Attack
from tools.bench.hostile_clients.wire import CLOSED, Request, Target, connection, converse, outcomes

AT_A_TIME = 100
IDLE = 300
PIPELINED = 300
STORM = 300
GONE = 100
TRICKLE_S = 0.05
TRICKLED = 40
LIVE = Request("GET", "/health/live", closes=False).raw


async def _trickle(target: Target, start: bytes, piece: bytes) -> int:
    """Sends a piece at intervals until the gateway closes or the attack ends."""
    async with connection(target) as (reader, writer):
        with contextlib.suppress(OSError):
            writer.write(start)
            for _ in range(TRICKLED):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(TRICKLE_S)
        with contextlib.suppress(OSError):
            return int((await reader.read(12))[9:] or CLOSED)
        return CLOSED


async def _together(target: Target, start: bytes, piece: bytes) -> Counter[int]:
    return Counter(await asyncio.gather(*(_trickle(target, start, piece) for _ in range(AT_A_TIME))))


async def slow_heads(target: Target) -> Counter[int]:
    """Heads that arrive byte by byte."""
    return await _together(target, b"POST /predict HTTP/1.1\r\nHost: gateway\r\nX-Slow: ", b"x")


async def slow_bodies(target: Target) -> Counter[int]:
    """Bodies in chunks of a byte."""
    headers = [(b"Transfer-Encoding", b"chunked")]
    request = Request(path=f"/predictions/{target.model}", headers=headers, framed=False)
    return await _together(target, request.head, b"1\r\nx\r\n")


async def half_closed(target: Target) -> Counter[int]:
    """Clients that half-close after a whole request."""
    whole = Request(path=f"/predictions/{target.model}", body=target.image).raw
    return await outcomes(converse(target, each, half_closes=True) for each in (whole, LIVE) * 10)


async def half_closed_in_the_request(target: Target) -> Counter[int]:
    """Clients that half-close in a request."""
    whole = Request(path=f"/predictions/{target.model}", body=target.image).raw
    pieces = (whole[:-10], whole[:40], b"")
    return await outcomes(converse(target, each, half_closes=True) for each in pieces * 10)


async def idle_connections(target: Target) -> Counter[int]:
    """Idle connections, half of them used once."""
    async with contextlib.AsyncExitStack() as stack:
        for number in range(IDLE):
            reader, writer = await stack.enter_async_context(connection(target))
            if number % 2:
                writer.write(LIVE)
                await reader.read(12)
        return Counter({200: IDLE // 2})


async def pipelined(target: Target) -> Counter[int]:
    """Hundreds of requests in a packet, from clients that read the answers and a client that does not."""
    flood = Request("GET", "/health/live", closes=False).raw * PIPELINED
    image = Request(path="/predictions/other", body=b"x", closes=False).raw * PIPELINED
    last = Request("GET", "/health/live").raw
    async with connection(target) as (_, writer):
        writer.write(flood * 3)
        return await outcomes(converse(target, each + last) for each in (flood, image))


async def noise_behind_requests(target: Target) -> Counter[int]:
    """Noise after requests in the same packet that are still in progress."""
    good = Request(path="/predictions/other", body=b"x", closes=False).raw
    return await outcomes(converse(target, good * number + b"no HTTP\r\n\r\n") for number in range(30))


async def closing_storm(target: Target) -> Counter[int]:
    """A new connection for every request."""
    return await outcomes(converse(target, Request("GET", "/health/live").raw) for _ in range(STORM))


async def gone_in_the_body(target: Target) -> Counter[int]:
    """Connections closed or reset in the body and before the answer."""
    request = Request(path=f"/predictions/{target.model}", body=target.image).raw

    async def leave(number: int) -> None:
        async with connection(target) as (_, writer):
            writer.write(request[: len(request) - number % 3])
            if number % 2:
                writer.transport.abort()

    await asyncio.gather(*(leave(number) for number in range(GONE)))
    return Counter({CLOSED: GONE})


ATTACKS = (
    # The kernel may discard the answer while the client still sends.
    Attack("slow heads", slow_heads, TIMED_OUT),
    Attack("slow bodies", slow_bodies, TIMED_OUT),
    Attack("half-closed after the request", half_closed, frozenset({200})),
    Attack("half-closed in the request", half_closed_in_the_request, REFUSED | TIMED_OUT),
    Attack("idle connections", idle_connections, frozenset({200})),
    Attack("pipelining", pipelined, frozenset({200, 404})),
    Attack("noise after requests", noise_behind_requests, frozenset({400, 404})),
    Attack("a connection for every request", closing_storm, frozenset({200})),
    Attack("disconnects in the body", gone_in_the_body, frozenset({CLOSED})),
)
