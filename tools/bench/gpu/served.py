"""A model with its workers on a GPU, asked through gateway and TorchServe."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import mean

import uvloop

from tools.bench.closed_loop import send
from tools.bench.peers.machine import Meter, Usage
from tools.throwaway_stack import ThrowawayStack, throwaway_stack
from torchserve_gateway.load_test.clients import Client
from torchserve_gateway.load_test.sender import Sender
from torchserve_gateway.load_test.statistics import Tally

ROUND_S = 10.0
WARM_UP_S = 10.0
TIMEOUT_S = 60.0
# Of a probability: batches of another size round differently, in fp16 more.
TOLERANCE = 0.02
# Batches that wait while a worker computes another.
BATCHES = 2
SAMPLE_MS = 200


@dataclass(frozen=True)
class Served:
    """A measurement under full load."""

    clients: int
    """Clients in a closed loop."""
    tally: Tally
    """Answers, latencies and failures."""
    usage: Usage
    """CPU time of gateway, TorchServe and clients."""
    utilisation: float | None
    """Share of the time in which the GPU computed, 0 to 1; None where nvidia-smi does not say."""

    @property
    def images_s(self) -> float:
        """Right answers a second."""
        return self.tally.answered / self.usage.seconds


def served(
    overrides: Sequence[str], batch_size: int, workers: int, images: Sequence[bytes], round_s: float = ROUND_S
) -> Served:
    """Deploys a model on a stack of its own and keeps all its workers busy.

    Raises:
        StackCommandError, NoAnswerError: the stack does not start, or a reference answer is missing.
    """
    clients = BATCHES * batch_size * workers
    mine = (f"model.batch_size={batch_size}", f"model.workers={workers}", "gateway.processes=null")
    # Random weights know no class.
    with throwaway_stack(*mine, "model.samples=[]", *overrides) as stack:
        stack.deploy("1.0")
        return uvloop.run(_played(stack, [images[each % len(images)] for each in range(clients)], round_s))


async def _played(stack: ThrowawayStack, images: Sequence[bytes], round_s: float) -> Served:
    tally = Tally()
    async with Sender(stack.settings.gateway.url, TIMEOUT_S) as sender:
        clients = [Client(sender, "/predictions/genre", each, TOLERANCE) for each in images]
        for client in clients:
            await client.learn()
        await send(clients, Tally(), min(WARM_UP_S, round_s))
        with _gpu_samples() as samples:
            meter = Meter(stack.pid("gateway"), stack.pid("torchserve"))
            await send(clients, tally, round_s)
            usage = meter.usage()
    return Served(len(clients), tally, usage, mean(samples) / 100 if samples else None)


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
