"""Clients in a closed loop, in several processes: a single process cannot keep a GPU busy."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor, wait
from dataclasses import dataclass
from time import perf_counter, process_time, sleep, time

import uvloop

from tools.bench.closed_loop import send
from torchserve_gateway.load_test.clients import Client
from torchserve_gateway.load_test.sender import Sender
from torchserve_gateway.load_test.statistics import Latencies, Tally

TIMEOUT_S = 60.0
START_S = 1.0
# Of a probability: batches of another size round differently, in fp16 more.
TOLERANCE = 0.02


@dataclass(frozen=True)
class Answers:
    """Answers in a round."""

    images_s: float
    """Right answers a second."""
    latencies: Latencies
    """From sending to the complete, right answer."""
    errors: Counter[str]
    """Failed requests by kind."""
    cpu_s: float
    """CPU seconds of the clients."""


def started(processes: Executor, count: int) -> None:
    """Waits until the processes run: starting Python in the round would count as the clients' work."""
    # Each is busy long enough for all to get a call.
    wait([processes.submit(sleep, START_S) for _ in range(count)])


def play(
    processes: Executor,
    count: int,
    path: tuple[str, str],
    images: Sequence[bytes],
    clients: int,
    begin: float,
    seconds: float,
) -> Answers:
    """Sends the images in turns.

    Args:
        processes: run functions in processes of their own, `count` at a time.
        count: the number of processes.
        path: URL of the gateway, and path of the model.
        images: a client sends the same image each time.
        clients: clients in all processes.
        begin: when counting begins, by `time`; clients send before.
        seconds: length of the round.

    Raises:
        NoAnswerError: a reference answer is missing.
    """
    share = max(1, clients // count)
    running = [processes.submit(_part, path, images, share, begin, seconds) for _ in range(count)]
    parts, latencies = [each.result() for each in running], Latencies()
    for part in parts:
        latencies.add_all(part.latencies)
    errors: Counter[str] = sum((part.errors for part in parts), Counter())
    return Answers(sum(part.images_s for part in parts), latencies, errors, sum(part.cpu_s for part in parts))


def _part(
    path: tuple[str, str], images: Sequence[bytes], clients: int, begin: float, seconds: float
) -> Answers:
    return uvloop.run(_played(*path, images, clients, begin, seconds))


async def _played(
    url: str, path: str, images: Sequence[bytes], clients: int, begin: float, seconds: float
) -> Answers:
    async with Sender(url, TIMEOUT_S) as sender:
        by_image = [Client(sender, path, image, TOLERANCE) for image in images]
        for client in by_image:
            await client.learn()
        playing = [by_image[each % len(images)] for each in range(clients)]
        await send(playing, Tally(), max(begin - time(), 0.0))
        tally, start, cpu_start = Tally(), perf_counter(), process_time()
        await send(playing, tally, seconds)
        passed = perf_counter() - start
    answered = tally.answered / passed
    return Answers(answered, tally.latencies, tally.errors, process_time() - cpu_start)
