"""A model with its workers on a GPU, asked through gateway and TorchServe."""

import multiprocessing
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import mean
from time import sleep, time

import httpx

from tools.bench.gpu.load import Answers, play, started
from tools.bench.peers.machine import CORES, Meter, Usage
from tools.throwaway_stack import ThrowawayStack, throwaway_stack

ROUND_S = 8.0
WARM_UP_S = 5.0
# Until workers are READY.
SCALE_S = 120.0
# Batches that wait while a worker computes another.
BATCHES = 2
LOAD_PROCESSES = max(1, CORES // 4)
SAMPLE_MS = 200


@dataclass(frozen=True)
class Served:
    """A measurement under full load."""

    workers: int
    """Workers of the model."""
    clients: int
    """Clients in a closed loop."""
    answers: Answers
    """Answers, latencies and failures."""
    usage: Usage
    """CPU time of gateway and TorchServe."""
    utilisation: float | None
    """Share of the time in which the GPU computed, 0 to 1; None where nvidia-smi does not say."""


def served(
    overrides: Sequence[str], batch_size: int, workers: Sequence[int], images: Sequence[bytes]
) -> Iterator[Served]:
    """Deploys a model on a stack of its own, and keeps each of these numbers of workers busy.

    Raises:
        StackCommandError, NoAnswerError: the stack does not start, or a reference answer is missing.
    """
    mine = (
        f"model.batch_size={batch_size}",
        f"model.workers={max(workers)}",
        f"model.image.decode_threads={max(1, CORES // max(workers))}",
        "gateway.processes=null",
        # Random weights know no class.
        "model.samples=[]",
    )
    spawn = multiprocessing.get_context("spawn")
    with (
        throwaway_stack(*mine, *overrides) as stack,
        ProcessPoolExecutor(LOAD_PROCESSES, spawn) as processes,
    ):
        stack.deploy("1.0")
        started(processes, LOAD_PROCESSES)
        for count in sorted(workers, reverse=True):
            _scale(stack, count)
            yield _measured(stack, processes, images, batch_size, count)


def served_heading() -> str:
    """The head of the table of the stack; CPU of gateway and TorchServe, load of the clients."""
    columns = ("workers", "clients", "images/s", "p99 ms", "GPU", "CPU", "load", "/ network", "/ in-process")
    return f"{'':<40}" + "".join(f"{name:>{max(9, len(name) + 2)}}" for name in columns)


def served_line(name: str, found: Served, network_images_s: float, in_process_images_s: float) -> str:
    """A row of the table of the stack."""
    answers, usage = found.answers, found.usage
    busy = "-" if found.utilisation is None else f"{found.utilisation:.0%}"
    load = answers.cpu_s / usage.seconds / CORES
    return (
        f"{name:<40}{found.workers:>9}{found.clients:>9}{answers.images_s:>10.0f}"
        f"{answers.latencies.percentile_ms(99):>9.0f}{busy:>9}{usage.servers_s / usage.seconds / CORES:>9.0%}"
        f"{load:>9.0%}{answers.images_s / network_images_s:>11.2f}"
        f"{answers.images_s / in_process_images_s:>14.2f}"
    )


def _scale(stack: ThrowawayStack, workers: int) -> None:
    url = f"{stack.settings.torchserve.management_url}/models/genre"
    query = f"min_worker={workers}&max_worker={workers}&synchronous=true"
    httpx.put(f"{url}?{query}", timeout=SCALE_S).raise_for_status()


def _measured(
    stack: ThrowawayStack, processes: Executor, images: Sequence[bytes], batch_size: int, workers: int
) -> Served:
    clients, begin = BATCHES * batch_size * workers, time() + WARM_UP_S
    target = (stack.settings.gateway.url, "/predictions/genre")
    with ThreadPoolExecutor(1) as beside:
        playing = beside.submit(play, processes, LOAD_PROCESSES, target, images, clients, begin, ROUND_S)
        sleep(max(begin - time(), 0.0))
        with _gpu_samples() as samples:
            meter = Meter(stack.pid("gateway"), stack.pid("torchserve"))
            sleep(ROUND_S)
            usage = meter.usage()
        return Served(workers, clients, playing.result(), usage, mean(samples) / 100 if samples else None)


@contextmanager
def _gpu_samples() -> Iterator[list[float]]:
    """Percentages of utilisation, complete when the block has ended."""
    command = ("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0")
    found: list[float] = []
    try:
        sampler = subprocess.Popen([*command, f"--loop-ms={SAMPLE_MS}"], stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        yield found
        return
    try:
        yield found
    finally:
        sampler.terminate()
        printed, _ = sampler.communicate()
        found += [float(line) for line in printed.splitlines() if line.strip().isdigit()]
