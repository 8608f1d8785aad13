"""`make run_stress`: many clients at once, and the images per second that they get.

`stress compare BEFORE.json AFTER.json` shows two reports beside each other.

Exit codes: 0 every request was answered right; 1 at least one was not; 2 bad configuration.
"""

import asyncio
import itertools
import logging
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time

import uvloop
from rich.progress import Progress

from torchserve_gateway.commands.own_client import authorization, trusting
from torchserve_gateway.load_test import profiles
from torchserve_gateway.load_test.clients import Client, same_answer
from torchserve_gateway.load_test.comparison import comparison
from torchserve_gateway.load_test.images import NoImagesError, client_images
from torchserve_gateway.load_test.open_loop import send_at
from torchserve_gateway.load_test.report import (
    NoReportError,
    Report,
    Sample,
    percentiles_ms,
    read_report,
)
from torchserve_gateway.load_test.report_page import report_page
from torchserve_gateway.load_test.sender import NoAnswerError, Sender
from torchserve_gateway.load_test.statistics import Tally, latency_line, performance_line
from torchserve_gateway.load_test.timeline import sample_until
from torchserve_gateway.settings.command import BAD_USAGE, exit_code, run
from torchserve_gateway.settings.load_test import StressSettings
from torchserve_gateway.terminal.spinner import console
from torchserve_gateway.terminal.waits import waiting

logger = logging.getLogger(__name__)

PROGRESS_INTERVAL_S = 0.2
# A generator that is busier sends late and reads late, so that latencies are partly its own.
DOUBTFUL_CPU_PERCENT = 70


class StressError(Exception):
    """The clients could not start, or the report could not be written."""


def stress(settings: StressSettings) -> int:
    """Runs all rounds, logs the measurements and writes the reports.

    Returns:
        0 if every request was answered right, else 1.

    Raises:
        NoImagesError, StressError: there is nothing to send, no answer, or no room for a report.
    """
    tally, report = uvloop.run(_play(settings, client_images(settings.images_dir, settings.clients)))
    logger.info(performance_line(report.rates))
    if tally.answered:
        logger.info(latency_line(tally.latencies))
    versions = ", ".join(f"{version}: {count}" for version, count in sorted(tally.versions.items()))
    logger.info("Answered: %d (by version %s)", tally.answered, versions or "-")
    logger.info("Load generator: %.0f %% of a core", report.cpu_percent)
    if report.cpu_percent > DOUBTFUL_CPU_PERCENT:
        logger.warning("The load generator was too busy for its figures to be the server's; lower the load")
    if tally.unverified:
        logger.warning("%d answers of a version that was gone before they could be checked", tally.unverified)
    for kind, count in tally.errors.most_common():
        logger.error("Failed: %d x %s", count, kind)
    _write(settings.report_json, report.model_dump_json(indent=1))
    _write(settings.report_html, report_page(report))
    return 1 if tally.errors or not tally.answered else 0


def _write(path: Path | None, text: str) -> None:
    if path is None:
        return
    try:
        path.write_text(text)
    except OSError as exc:
        raise StressError(f"{path}: {exc.strerror}") from exc
    logger.info("Report: %s", path)


async def _play(settings: StressSettings, images: list[bytes]) -> tuple[Tally, Report]:
    async with Sender(
        settings.gateway.url,
        settings.request_timeout_s,
        authorization(settings.gateway.auth),
        trusting(settings.gateway.tls),
    ) as sender:
        path = f"/predictions/{settings.served.name}"
        clients = [Client(sender, path, image, settings.probability_tolerance) for image in images]
        await _learn(clients, settings.probability_tolerance)
        tally, stop, timeline = Tally(), asyncio.Event(), list[Sample]()
        # Ctrl-C ends the measurement, not the report on it.
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
        started, start, cpu_s = datetime.now(UTC), perf_counter(), process_time()
        async with asyncio.TaskGroup() as group:
            if due_times_s := profiles.due_times_s(settings):
                group.create_task(send_at(clients, due_times_s, tally, stop))
            else:
                for client in clients:
                    group.create_task(client.run(tally, stop))
            sampling = group.create_task(sample_until(timeline, tally, stop))
            rates = await _rounds(settings, tally, stop)
            duration_s, cpu_s = perf_counter() - start, process_time() - cpu_s
            stop.set()
            await sampling
    report = Report(
        started=started,
        model=settings.served.name,
        url=settings.gateway.url,
        load=profiles.described(settings),
        duration_s=duration_s,
        rates=rates,
        answered=tally.answered,
        unverified=tally.unverified,
        versions=tally.versions,
        errors=tally.errors,
        latency_ms=percentiles_ms(tally.latencies),
        cpu_percent=100 * cpu_s / duration_s,
        timeline=timeline,
        histogram=tally.latencies.encoded(),
    )
    return tally, report


async def _learn(clients: list[Client], tolerance: float) -> None:
    try:
        with waiting("the first answers") as wait:
            answers = []
            for number, client in enumerate(clients, 1):
                wait.state = f"client {number} of {len(clients)}"
                answers.append(await client.learn())
    except NoAnswerError as exc:
        hint = "; make status shows whether the gateway runs, make up starts it"
        raise StressError(f"{exc}{hint if exc.kind == 'ConnectError' else ''}") from exc
    alike = sum(same_answer(one, other, tolerance) for one, other in itertools.combinations(answers, 2))
    if alike:
        logger.warning(
            "%d pairs of clients have the same answer; swapped answers among them would not be seen", alike
        )


async def _rounds(settings: StressSettings, tally: Tally, stop: asyncio.Event) -> list[float]:
    rates = []
    rounds = len(settings.steps) if settings.steps else settings.rounds
    logger.info("Load: %s; %d rounds of %g s", profiles.described(settings), rounds, settings.round_s)
    terminal = console()
    with Progress(console=terminal, transient=True, disable=not terminal.is_terminal) as progress:
        task = progress.add_task("stress", total=rounds * settings.round_s)
        for _ in range(rounds):
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


def compare(files: Sequence[str]) -> int:
    """Prints two reports beside each other; returns the exit code."""
    if len(files) != 2:
        logger.error("compare takes two reports, BEFORE.json AFTER.json, not %d", len(files))
        return BAD_USAGE
    before, after = (Path(each) for each in files)
    return exit_code(
        lambda: print(comparison(read_report(before), read_report(after))),
        (NoReportError,),
    )


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides, or `compare`, and returns the exit code."""
    if argv[:1] == ["compare"]:
        return compare(argv[1:])
    return run("stress", StressSettings, stress, (NoImagesError, StressError), argv)
