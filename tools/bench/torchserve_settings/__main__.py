"""Deploys the demo model on a stack for each variant and prints the CPU time of an image, measured in turns.

Exit codes: 0 every request was answered; 1 at least one was not, or a stack did not start; 130 interrupted.
"""

import contextlib
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from tools.bench.closed_loop import send
from tools.bench.peers.machine import Meter, described, resident_mb, warnings
from tools.bench.peers.process_tree import stopped, trees, undisturbed_cleanup
from tools.bench.torchserve_settings.variants import Variant, variants
from tools.throwaway_stack import StackCommandError, ThrowawayStack, throwaway_stack
from torchserve_gateway.load_test.clients import Client
from torchserve_gateway.load_test.sender import NoAnswerError, Sender
from torchserve_gateway.load_test.statistics import Tally

CLIENTS = 16
ROUNDS = 5
ROUND_S = 3.0
# Java compiles what is called often; before that an image costs several times as much.
WARM_UP_S = 45.0
TIMEOUT_S = 60.0
TOLERANCE = 1e-4


@dataclass
class Row:
    """Measurements of a variant."""

    variant: Variant
    stack: ThrowawayStack
    clients: list[Client]
    java: int
    """Process id of TorchServe's frontend; its workers are children."""
    tally: Tally = field(default_factory=Tally)
    """Answers of all rounds."""
    rates: list[float] = field(default_factory=list)
    """Images a second, by round."""
    frontend_ms: list[float] = field(default_factory=list)
    """CPU milliseconds of an image in Java, by round."""
    workers_ms: list[float] = field(default_factory=list)
    """CPU milliseconds of an image in the workers, by round."""
    log_bytes: list[float] = field(default_factory=list)
    """Bytes of log an image, by round."""
    memory_mb: list[float] = field(default_factory=list)
    """Resident memory of Java, by round."""
    others: list[float] = field(default_factory=list)
    """Share of other programs in the machine, by round."""

    async def warm_up(self) -> None:
        """Learns the reference answers and lets Java compile; raises NoAnswerError without them."""
        for client in self.clients:
            await client.learn()
        await send(self.clients, Tally(), WARM_UP_S)

    async def play(self) -> None:
        """Measures a round."""
        before, frontend_s, logged = self.tally.answered, self._frontend_s(), self._logged()
        meter = Meter(self.java)
        await send(self.clients, self.tally, ROUND_S)
        usage, answered = meter.usage(), max(1, self.tally.answered - before)
        frontend_s = self._frontend_s() - frontend_s
        self.rates.append(answered / usage.seconds)
        self.frontend_ms.append(frontend_s * 1000 / answered)
        self.workers_ms.append((usage.servers_s - frontend_s) * 1000 / answered)
        self.log_bytes.append((self._logged() - logged) / answered)
        self.others.append(usage.others_share)
        self.memory_mb.append(resident_mb(self.java))

    def line(self) -> str:
        """The row of the table."""
        figures = (self.rates, self.frontend_ms, self.workers_ms, self.log_bytes)
        rate, frontend, workers, log = (statistics.median(each) for each in figures)
        memory = statistics.median(self.memory_mb)
        return (
            f"{self.variant.name:<26}{rate:>9.1f}{frontend:>11.2f}{workers:>11.2f}{log:>12.0f}{memory:>12.0f}"
        )

    def _frontend_s(self) -> float:
        return next(each.cpu_s for each in trees(self.java) if each.pid == self.java)

    def _logged(self) -> int:
        return sum(each.stat().st_size for each in Path(self.stack.directory).rglob("*.log"))


async def measured(chosen: list[tuple[Variant, ThrowawayStack]]) -> list[Row]:
    """Warms all up and plays the rounds; raises NoAnswerError where a reference answer is missing."""
    rows = []
    async with contextlib.AsyncExitStack() as senders:
        for variant, stack in chosen:
            url = stack.settings.torchserve.inference_url
            sender = await senders.enter_async_context(Sender(url, TIMEOUT_S))
            image = stack.settings.model.samples[0].file.read_bytes()
            clients = [Client(sender, "/predictions/genre", image, TOLERANCE) for _ in range(CLIENTS)]
            rows.append(Row(variant, stack, clients, stack.pid("torchserve")))
        for row in rows:
            await row.warm_up()
        everything = {row.java for row in rows}
        for _ in range(ROUNDS):
            for row in rows:
                with stopped(everything, [row.java]):
                    await row.play()
    return rows


def heading() -> str:
    """The measurement, above the table."""
    return f"demo model, a worker each, {CLIENTS} clients of TorchServe itself, medians of {ROUNDS} rounds"


def table(rows: list[Row]) -> list[str]:
    """The table, failures, and the other programs of the machine."""
    found = [f"{'':<26}{'images/s':>9}{'Java ms':>11}{'worker ms':>11}{'log bytes':>12}{'Java MB':>12}"]
    found += [row.line() for row in rows]
    failed = {row.variant.name: row.tally.errors for row in rows if row.tally.errors}
    found += [f"failed: {name}: {dict(errors)}" for name, errors in failed.items()] or ["failed: none"]
    return found + warnings([share for row in rows for share in row.others])


def main() -> int:
    """Runs the measurement and returns the exit code."""
    print(described())
    print(heading(), flush=True)
    try:
        with undisturbed_cleanup() as cleanup:
            directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
            chosen = []
            for variant in variants(directory):
                stack = cleanup.enter_context(throwaway_stack("model.workers=1", *variant.overrides))
                stack.deploy("1.0")
                chosen.append((variant, stack))
            rows = uvloop.run(measured(chosen))
    except KeyboardInterrupt:
        print("interrupted; all stacks are stopped", file=sys.stderr)
        return 130
    except (StackCommandError, NoAnswerError) as exc:
        print(f"stopped: {exc}", file=sys.stderr)
        return 1
    print("\n".join(table(rows)))
    return 1 if any(row.tally.errors for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
