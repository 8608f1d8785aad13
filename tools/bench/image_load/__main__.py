"""Deploys the demo model on a stack of its own, measures all sizes in turns, and prints a table.

Exit codes: 0 every request was answered right; 1 at least one was not, or the stack did not start.
"""

import statistics
import sys
from collections import Counter
from collections.abc import Sequence

import uvloop

from tools.bench.image_load.images import images
from tools.bench.image_load.rounds import OPEN_SHARE, ROUND_S, ROUNDS, Loop, Size, measure
from tools.bench.peers.machine import described, warnings
from tools.throwaway_stack import StackCommandError, ThrowawayStack, throwaway_stack
from torchserve_gateway.load_test.clients import Client
from torchserve_gateway.load_test.sender import NoAnswerError, Sender

CLIENTS = 16
TIMEOUT_S = 60.0
# Batches of another size round differently, by far less.
TOLERANCE = 1e-4


async def played(stack: ThrowawayStack) -> list[Size]:
    """Measures all rows; raises as `measure`."""
    async with Sender(stack.settings.gateway.url, TIMEOUT_S) as sender:
        sizes = [
            Size(
                name,
                [Client(sender, "/predictions/genre", each, TOLERANCE) for each in found],
                statistics.mean(map(len, found)) / 1e6,
            )
            for name, found in images(CLIENTS).items()
        ]
        await measure(sizes, [stack.pid("gateway"), stack.pid("torchserve")])
    return sizes


def heading() -> str:
    """The measurement, above the table."""
    return f"demo model, {ROUNDS} rounds of {ROUND_S:.0f} s of each; clients: share of the cores"


def lines(sizes: Sequence[Size]) -> list[str]:
    """The table, failures, and what else ran on the machine."""
    head = f"{'':<23}{'MB':>6}{'images/s':>10}{'p50 ms':>8}{'p99 ms':>8}{'CPU ms/image':>14}{'clients':>9}"
    found = [
        f"{'':<29}{f'closed loop, {CLIENTS} clients':<51}open loop, {OPEN_SHARE:.0%} of that",
        f"{head}{'images/s':>11}{'p50 ms':>8}{'p99 ms':>8}",
    ]
    found += [
        f"{size.name:<23}{size.megabytes:>6.2f}{_rate(size.closed):>10.1f}{_latencies(size.closed)}"
        f"{statistics.median(size.closed.cpu_ms or [0]):>14.1f}{_client(size.closed):>9.0%}"
        f"{_rate(size.open):>11.1f}{_latencies(size.open)}"
        for size in sizes
    ]
    loops = [loop for size in sizes for loop in (size.closed, size.open)]
    failed = failures(sizes)
    found.append("failed: " + (", ".join(f"{count} x {kind}" for kind, count in failed.items()) or "none"))
    return found + warnings([usage.others_share for loop in loops for usage in loop.usages])


def failures(sizes: Sequence[Size]) -> Counter[str]:
    """Failed and wrongly answered requests by kind and size."""
    return Counter(
        {
            f"{size.name}: {kind}": count
            for size in sizes
            for kind, count in (size.closed.tally.errors + size.open.tally.errors).items()
        }
    )


def _rate(loop: Loop) -> float:
    return statistics.median(loop.rates)


def _latencies(loop: Loop) -> str:
    return "".join(f"{loop.tally.latencies.percentile_ms(each):>8.0f}" for each in (50, 99))


def _client(loop: Loop) -> float:
    return statistics.median(usage.client_share for usage in loop.usages)


def main() -> int:
    """Runs the measurement and returns the exit code."""
    print(described())
    print(heading(), flush=True)
    try:
        with throwaway_stack("gateway.processes=null") as stack:
            stack.deploy("1.0")
            sizes = uvloop.run(played(stack))
    except (StackCommandError, NoAnswerError) as exc:
        print(f"stopped: {exc}", file=sys.stderr)
        return 1
    print("\n".join(lines(sizes)))
    return 1 if failures(sizes) else 0


if __name__ == "__main__":
    sys.exit(main())
