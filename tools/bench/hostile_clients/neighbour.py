"""A well-behaved open-loop client: `python -m tools.bench.hostile_clients.neighbour URL IMAGE RATE`.

Sends predictions at a steady rate. Prints a line per prediction, in order of due time: due time and latency,
both in seconds, and status.
"""

import asyncio
import sys
from pathlib import Path
from time import monotonic

import httpx

from torchserve_gateway.torchserve_api.http_pool import PooledTransport

# Above the gateway's deadline: a longer request hangs.
TIMEOUT_S = 30


async def _send(http: httpx.AsyncClient, url: str, image: bytes, due_at: float) -> str:
    try:
        response = await http.post(url, content=image, headers={"Content-Type": "application/octet-stream"})
        outcome = str(response.status_code)
    except httpx.HTTPError as exc:
        outcome = type(exc).__name__
    return f"{due_at:.6f} {monotonic() - due_at:.6f} {outcome}"


async def _send_at_rate(http: httpx.AsyncClient, url: str, image: bytes, rate: float) -> None:
    started, ended = monotonic(), asyncio.Queue[asyncio.Task[str]]()

    async def report() -> None:
        while True:
            print(await (await ended.get()), flush=True)

    async with asyncio.TaskGroup() as group:
        group.create_task(report())
        number = 0
        while True:
            due_at = started + number / rate
            await asyncio.sleep(max(due_at - monotonic(), 0))
            ended.put_nowait(group.create_task(_send(http, url, image, due_at)))
            number += 1


async def main(url: str, image: bytes, rate: float) -> None:
    """Sends `rate` requests a second until it is killed."""
    async with httpx.AsyncClient(timeout=TIMEOUT_S, transport=PooledTransport()) as http:
        await _send_at_rate(http, url, image, rate)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes(), float(sys.argv[3])))
