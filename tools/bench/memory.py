"""`make bench`: what half an hour of requests leaves behind in the memory of each part.

The real stack gets as many requests as 20 a second would be in that time, as fast as it answers them, and not
only good ones: images that cannot be decoded, models that do not exist, batches, and clients that go away.
"""

import asyncio
import itertools
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

import httpx
import numpy as np

from tests.running_stack import RunningStack
from torchserve_gateway.torchserve_api.pools import PooledTransport

REQUESTS = 30 * 60 * 20
ROWS = 12
CLIENTS = 32
# Shorter than an answer takes when so many ask.
GOES_AWAY_S = 0.02
PARTS = ("gateway", "torchserve", "worker")


def requests_of(http: httpx.AsyncClient, image: bytes) -> Iterator[httpx.Request]:
    """One after the other, for ever."""
    for number in itertools.count():
        yield http.build_request("POST", "/predict", files={"file": ("poster.jpg", image)})
        yield http.build_request("POST", "/predictions/genre", content=image)
        yield http.build_request(
            "POST", "/predict", files={"file": ("broken.jpg", image[: number % 1000 + 1])}
        )
        yield http.build_request("POST", f"/predictions/model-{number}", content=image)
        yield http.build_request("POST", "/predict/batch", files=[("files", ("a.jpg", image))] * 3)
        timeout = httpx.Timeout(10, read=GOES_AWAY_S).as_dict()
        yield http.build_request(
            "POST", "/predict", files={"file": ("a.jpg", image)}, extensions={"timeout": timeout}
        )


async def send(http: httpx.AsyncClient, requests: Iterator[httpx.Request], count: int) -> Counter[str]:
    """Sends so many, and counts what came of them."""
    ended: Counter[str] = Counter()

    async def play() -> None:
        for _ in range(count // CLIENTS):
            try:
                ended[str((await http.send(next(requests))).status_code)] += 1
            except httpx.ReadTimeout:
                ended["went away"] += 1

    await asyncio.gather(*(play() for _ in range(CLIENTS)))
    return ended


def resident_mb(pid: int) -> float:
    """What the process has in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def measure(stack: RunningStack, image: bytes) -> None:
    """Prints the curve, and its slope over the second half, where nothing is new any more."""
    pids = [stack.pid(part) for part in PARTS]
    rows: list[list[float]] = []
    print(f"{'requests':>10} {'requests/s':>11}" + "".join(f"{part:>12}" for part in PARTS) + "   (MB)")
    url = stack.settings.gateway.url
    async with httpx.AsyncClient(base_url=url, timeout=60, transport=PooledTransport()) as http:
        requests, ended = requests_of(http, image), Counter[str]()
        for row in range(1, ROWS + 1):
            started = perf_counter()
            ended += await send(http, requests, REQUESTS // ROWS)
            rate = REQUESTS / ROWS / (perf_counter() - started)
            rows.append([resident_mb(pid) for pid in pids])
            shown = "".join(f"{mb:12.1f}" for mb in rows[-1])
            print(f"{row * REQUESTS // ROWS:10} {rate:11.1f}{shown}", flush=True)
    print(f"ended: {', '.join(f'{count} x {what}' for what, count in sorted(ended.items()))}")
    half = np.array(rows[ROWS // 2 :])
    slopes = np.polyfit(np.arange(len(half)) * REQUESTS / ROWS / 10_000, half, 1)[0]
    print("growth in the second half, MB per 10,000 requests: ", end="")
    print(", ".join(f"{part} {slope:+.2f}" for part, slope in zip(PARTS, slopes, strict=True)))


def main() -> None:
    """Starts a stack of its own, measures, stops it."""
    with ExitStack() as cleanup:
        directory = cleanup.enter_context(tempfile.TemporaryDirectory())
        stack = RunningStack.configure(Path(directory), "model.workers=1")
        cleanup.callback(stack.stack, "down")
        started = stack.stack("up")
        if started.returncode:
            sys.exit(started.stderr)
        stack.deploy("1.0")
        asyncio.run(measure(stack, stack.settings.model.samples[0].image.read_bytes()))


if __name__ == "__main__":
    main()
