"""`make bench`: CPU time of our load generator for a request, beside a plain httpx loop.

Both send the same image to the same server, which answers at once, in turns.
"""

import asyncio
import json
import multiprocessing
import platform
import statistics
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from os import cpu_count
from time import process_time
from typing import cast

import httpx
import uvloop

from torchserve_gateway.load_test.clients import Client
from torchserve_gateway.load_test.images import client_images
from torchserve_gateway.load_test.sender import Sender
from torchserve_gateway.load_test.statistics import Tally
from torchserve_gateway.settings.composition import PROJECT_ROOT

REQUESTS = 2000
CLIENTS = 16
ROUNDS = 3
RATE = 500
BODY = json.dumps({f"class {number}": 0.1 for number in range(10)}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nx-model-version: 1.0\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
LENGTH = b"content-length:"


class InstantServer(asyncio.Protocol):
    """Answers each request when its last byte is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins with an empty head."""
        # uvloop's transports are no subclass.
        self._transport = cast("asyncio.Transport", transport)
        self._head, self._missing = b"", 0

    def data_received(self, data: bytes) -> None:
        """Counts the bytes of the body; keeps none of them."""
        if self._missing:
            self._missing -= len(data)
        else:
            head, end, body = (self._head + data).partition(b"\r\n\r\n")
            self._head = b"" if end else head
            if not end:
                return
            self._missing = int(head.lower().split(LENGTH)[1].split(b"\r\n")[0]) - len(body)
        if not self._missing:
            self._transport.write(ANSWER)


def serve(port: Connection) -> None:
    """Runs the server in a process of its own."""

    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(InstantServer, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(forever())


async def cpu_ms(send: Callable[[int], Awaitable[object]]) -> float:
    """CPU milliseconds of a request, over connections that exist."""
    await asyncio.gather(*map(send, range(CLIENTS)))

    async def keep_sending(client: int) -> None:
        for _ in range(REQUESTS // CLIENTS):
            await send(client)

    start = process_time()
    await asyncio.gather(*map(keep_sending, range(CLIENTS)))
    return (process_time() - start) * 1000 / REQUESTS


async def ours(url: str, images: list[bytes]) -> float:
    """The load test's clients, every answer checked and counted."""
    async with Sender(url, 30) as sender:
        clients = [Client(sender, "/predictions/genre", image, 1e-4) for image in images]
        for client in clients:
            await client.learn()
        tally = Tally()
        result = await cpu_ms(lambda index: clients[index].send(tally, 0))
    if tally.errors:
        raise RuntimeError(f"the instant server was misunderstood: {tally.errors}")
    return result


async def plain_httpx(url: str, images: list[bytes]) -> float:
    """The usual loop; answers are parsed, not compared."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:

        async def send(index: int) -> None:
            (await http.post("/predictions/genre", content=images[index])).raise_for_status().json()

        return await cpu_ms(send)


def report(machine: str, own: float, usual: float, ratio: float) -> str:
    """The medians, in CPU milliseconds of a request, and their ratio."""
    share = f"{own * RATE / 10:.1f} % of a core at {RATE} requests/s"
    return (
        f"{machine}, {cpu_count()} cores, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}\n"
        f"load generator  {own:6.3f} ms CPU a request, {share}\n"
        f"plain httpx     {usual:6.3f} ms CPU a request, {ratio:.1f} times as much ({CLIENTS} clients)"
    )


def main() -> None:
    """Prints the medians and their ratio."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    server = context.Process(target=serve, args=(sending,), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{receiving.recv()}"
        images = client_images(PROJECT_ROOT / "imgs", CLIENTS)
        measured = [
            (uvloop.run(ours(url, images)), asyncio.run(plain_httpx(url, images))) for _ in range(ROUNDS)
        ]
    finally:
        server.terminate()
    own, usual = (statistics.median(each) for each in zip(*measured, strict=True))
    ratio = statistics.median(other / mine for mine, other in measured)
    print(report(platform.machine(), own, usual, ratio))


if __name__ == "__main__":
    main()
