"""`make bench`: requests a second through httpx's own transport and through `torchserve_api/http_pool.py`.

Both send to the same server in this process, which answers after a fixed time, so the difference is the
client's own cost. Rounds alternate; the ratio is the median over pairs of rounds.
"""

import asyncio
import contextlib
import statistics
from collections.abc import Callable
from time import perf_counter

import httpx

from torchserve_gateway.torchserve_api.http_pool import PooledTransport

CLIENTS = 64
CONNECTIONS_IDLE = 64
ANSWER_AFTER_S = 0.02
ROUND_S = 3.0
ROUNDS = 3
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
UNLIMITED = httpx.Limits(max_connections=None, max_keepalive_connections=None)
VARIANTS: dict[str, Callable[[], httpx.AsyncBaseTransport]] = {
    "httpx's own": lambda: httpx.AsyncHTTPTransport(limits=UNLIMITED, trust_env=False),
    "ours": PooledTransport,
}


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serves one connection."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(ANSWER_AFTER_S)
            writer.write(ANSWER)
    writer.close()


async def requests_per_second(transport: httpx.AsyncBaseTransport, url: str) -> float:
    """One round of closed-loop clients, with idle connections beside theirs."""
    async with httpx.AsyncClient(transport=transport, timeout=60) as client:
        await asyncio.gather(*(client.get(url) for _ in range(CLIENTS + CONNECTIONS_IDLE)))
        done, end = 0, perf_counter() + ROUND_S

        async def send() -> None:
            nonlocal done
            while perf_counter() < end:
                (await client.get(url)).raise_for_status()
                done += 1

        await asyncio.gather(*(send() for _ in range(CLIENTS)))
        return done / ROUND_S


async def compare() -> None:
    """Prints the rounds and the ratio."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    rates: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(ROUNDS):
        for name, make in VARIANTS.items():
            rates[name].append(await requests_per_second(make(), url))
    server.close()
    # Lets the handlers of the last connections end.
    await asyncio.sleep(0.1)
    for name, measured in rates.items():
        print(f"{name:<17} {', '.join(f'{rate:.0f}' for rate in measured)} requests/s")
    theirs, ours = (rates[name] for name in VARIANTS)
    ratio = statistics.median(b / a for a, b in zip(theirs, ours, strict=True))
    print(f"ours / httpx's own: {ratio:.1f} ({CLIENTS} clients)")


if __name__ == "__main__":
    asyncio.run(compare())
