"""`make run_stress`: many clients at once, and the images per second that they get.

Exit codes: 0 every request was answered right; 1 at least one was not; 2 bad configuration.
"""

import asyncio
import itertools
import logging
import signal
from collections.abc import Sequence
from time import perf_counter

import httpx
from rich.console import Console
from rich.progress import Progress

from torchserve_gateway.commands.own_client import authorization, trusting
from torchserve_gateway.load_test.clients import Client, same_answer
from torchserve_gateway.load_test.images import NoImagesError, client_images
from torchserve_gateway.load_test.open_loop import send_at_rate
from torchserve_gateway.load_test.statistics import Tally, latency_line, performance_line
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.load_test import StressSettings
from torchserve_gateway.torchserve_api.http_pool import PooledTransport

logger = logging.getLogger(__name__)

PROGRESS_INTERVAL_S = 0.2


class StressError(Exception):
    """The clients could not start."""


def stress(settings: StressSettings) -> int:
    """Runs all rounds and logs the measurements.

    Returns:
        0 if every request was answered right, else 1.

    Raises:
        NoImagesError, StressError: there is nothing to send, or no answer.
    """
    tally, rates = asyncio.run(_play(settings, client_images(settings.images_dir, settings.clients)))
    logger.info(performance_line(rates))
    if tally.answered:
        logger.info(latency_line(tally.latencies_s))
    versions = ", ".join(f"{version}: {count}" for version, count in sorted(tally.versions.items()))
    logger.info("Answered: %d (by version %s)", tally.answered, versions or "-")
    if tally.unverified:
        logger.warning("%d answers of a version that was gone before they could be checked", tally.unverified)
    for kind, count in tally.errors.most_common():
        logger.error("Failed: %d x %s", count, kind)
    return 1 if tally.errors or not tally.answered else 0


async def _play(settings: StressSettings, images: list[bytes]) -> tuple[Tally, list[float]]:
    async with httpx.AsyncClient(
        base_url=settings.gateway.url,
        timeout=settings.request_timeout_s,
        headers=authorization(settings.gateway.auth),
        transport=PooledTransport(trusting(settings.gateway.tls)),
    ) as http:
        path = f"/predictions/{settings.model.name}"
        clients = [Client(http, path, image, settings.probability_tolerance) for image in images]
        await _learn(clients, settings.probability_tolerance)
        tally, stop = Tally(), asyncio.Event()
        # Ctrl-C ends the measurement, not the report on it.
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
        async with asyncio.TaskGroup() as group:
            if settings.rate:
                group.create_task(send_at_rate(clients, settings.rate, tally, stop))
            else:
                for client in clients:
                    group.create_task(client.run(tally, stop))
            rates = await _rounds(settings, tally, stop)
            stop.set()
    return tally, rates


async def _learn(clients: list[Client], tolerance: float) -> None:
    try:
        answers = [await client.learn() for client in clients]
    except httpx.HTTPStatusError as exc:
        raise StressError(f"{exc.request.url} answered {exc.response.text}") from exc
    except httpx.HTTPError as exc:
        raise StressError(f"no answer from {exc.request.url}: {exc or type(exc).__name__}") from exc
    alike = sum(same_answer(one, other, tolerance) for one, other in itertools.combinations(answers, 2))
    if alike:
        logger.warning(
            "%d pairs of clients have the same answer; swapped answers among them would not be seen", alike
        )


async def _rounds(settings: StressSettings, tally: Tally, stop: asyncio.Event) -> list[float]:
    rates = []
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("stress", total=settings.rounds * settings.round_s)
        for _ in range(settings.rounds):
            start, answered = perf_counter(), tally.answered
            while (elapsed_s := perf_counter() - start) < settings.round_s and not stop.is_set():
                pause_s = min(PROGRESS_INTERVAL_S, settings.round_s - elapsed_s)
                await asyncio.sleep(pause_s)
                progress.advance(task, pause_s)
            rates.append((tally.answered - answered) / (perf_counter() - start))
            logger.info("Performance: %.2f imgs/s", rates[-1])
            if stop.is_set():
                break
    return rates


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("stress", StressSettings, stress, (NoImagesError, StressError), argv)
