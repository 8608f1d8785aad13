"""`make bench`: memory growth of each part over half an hour of requests.

The real stack gets as many requests as 20 a second would be in that time, as fast as it answers them. The mix
holds good requests, images that cannot be decoded, unknown models, batches, and clients that disconnect.
"""

import asyncio
import itertools
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from time import perf_counter

import httpx
import numpy as np

from tools.bench.peers.machine import resident_mb
from tools.throwaway_stack import StackCommandError, ThrowawayStack, throwaway_stack
from torchserve_gateway.torchserve_api.http_pool import PooledTransport

REQUESTS = 30 * 60 * 20
ROWS = 12
CLIENTS = 32
# Shorter than an answer takes under this load.
DISCONNECT_AFTER_S = 0.02
PARTS = ("gateway", "torchserve", "worker")
HEADING = f"{'requests':>10} {'requests/s':>11}" + "".join(f"{part:>12}" for part in PARTS) + "   (MB)"


def requests_of(http: httpx.AsyncClient, image: bytes) -> Iterator[httpx.Request]:
    """Endless sequence of requests, each kind in turn."""
    for number in itertools.count():
        yield http.build_request("POST", "/predict", files={"file": ("poster.jpg", image)})
        yield http.build_request("POST", "/predictions/genre", content=image)
        yield http.build_request(
            "POST", "/predict", files={"file": ("broken.jpg", image[: number % 1000 + 1])}
        )
        yield http.build_request("POST", f"/predictions/model-{number}", content=image)
        yield http.build_request("POST", "/predict/batch", files=[("files", ("a.jpg", image))] * 3)
        timeout = httpx.Timeout(10, read=DISCONNECT_AFTER_S).as_dict()
        yield http.build_request(
            "POST", "/predict", files={"file": ("a.jpg", image)}, extensions={"timeout": timeout}
        )


async def send(http: httpx.AsyncClient, requests: Iterator[httpx.Request], count: int) -> Counter[str]:
    """Sends `count` requests and counts their statuses."""
    ended: Counter[str] = Counter()

    async def play() -> None:
        for _ in range(count // CLIENTS):
            try:
                ended[str((await http.send(next(requests))).status_code)] += 1
            except httpx.ReadTimeout:
                ended["disconnected"] += 1

    await asyncio.gather(*(play() for _ in range(CLIENTS)))
    return ended


async def measure(stack: ThrowawayStack, image: bytes) -> None:
    """Prints the curve, and its slope over the second half, after caches and pools have filled."""
    pids = [stack.pid(part) for part in PARTS]
    rows: list[list[float]] = []
    print(HEADING)
    url = stack.settings.gateway.url
    async with httpx.AsyncClient(base_url=url, timeout=60, transport=PooledTransport()) as http:
        requests, ended = requests_of(http, image), Counter[str]()
        for row in range(1, ROWS + 1):
            started = perf_counter()
            ended += await send(http, requests, REQUESTS // ROWS)
            rate = REQUESTS / ROWS / (perf_counter() - started)
            rows.append([resident_mb(pid) for pid in pids])
            print(line(row * REQUESTS // ROWS, rate, rows[-1]), flush=True)
    print(conclusion(ended, rows))


def line(requests: int, rate: float, resident: Sequence[float]) -> str:
    """A row of the table."""
    return f"{requests:10} {rate:11.1f}" + "".join(f"{mb:12.1f}" for mb in resident)


def conclusion(ended: Counter[str], rows: Sequence[Sequence[float]]) -> str:
    """How the requests ended, and the slope over the second half of the rows."""
    half = np.array(rows[ROWS // 2 :])
    slopes = np.polyfit(np.arange(len(half)) * REQUESTS / ROWS / 10_000, half, 1)[0]
    growth = ", ".join(f"{part} {slope:+.2f}" for part, slope in zip(PARTS, slopes, strict=True))
    return (
        f"ended: {', '.join(f'{count} x {what}' for what, count in sorted(ended.items()))}\n"
        f"growth in the second half, MB per 10,000 requests: {growth}"
    )


def main() -> None:
    """Measures a stack of its own."""
    with throwaway_stack("model.workers=1") as stack:
        stack.deploy("1.0")
        asyncio.run(measure(stack, stack.settings.model.samples[0].file.read_bytes()))


if __name__ == "__main__":
    try:
        main()
    except StackCommandError as exc:
        sys.exit(str(exc))
