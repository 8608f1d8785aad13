"""Attacks beside a well-behaved neighbour, and the table of their effects."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from tools.bench.hostile_clients import bodies, connections, framing, invented_values, paths
from tools.bench.hostile_clients.attack import Attack
from tools.bench.hostile_clients.gateway_process import RunningGateway
from tools.bench.hostile_clients.observed_neighbour import Figures, Neighbour
from tools.bench.hostile_clients.wire import Target
from torchserve_gateway.settings.composition import PROJECT_ROOT

ATTACKS = (*invented_values.ATTACKS, *framing.ATTACKS, *paths.ATTACKS, *bodies.ATTACKS, *connections.ATTACKS)
IMAGE = PROJECT_ROOT / "imgs" / "western.jpg"
# Enough answers for a percentile; shorter attacks repeat.
SHORTEST_S = 0.7
NAMES = ("neighbour, ms", "p50", "attacked", "p99", "attacked", "p50 x", "p99 x")
HEADING = f"{NAMES[0]:<36}" + "".join(f"{name:>9}" for name in NAMES[1:]) + "  its answers | the attack's"


@dataclass(frozen=True)
class Bout:
    """Figures of an attack."""

    attack: Attack
    outcomes: Counter[int]
    """Statuses of the attack's requests."""
    attacked: Figures
    """Neighbour during the attack."""
    quiet: Figures
    """Neighbour without the attack, for the same time."""

    @property
    def row(self) -> str:
        """Line of the table."""
        quiet, attacked = self.quiet, self.attacked
        columns = (
            *(quiet.p50_ms, attacked.p50_ms, quiet.p99_ms, attacked.p99_ms),
            *(attacked.p50_ms / quiet.p50_ms, attacked.p99_ms / quiet.p99_ms),
        )
        shown = "".join(f"{each:9.1f}" for each in columns)
        answers = _listed({str(status or "closed"): count for status, count in self.outcomes.items()})
        return f"{self.attack.name:<36}{shown}  {_listed(attacked.outcomes)} | {answers}"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in sorted(counts.items()))


@dataclass(frozen=True)
class Arena:
    """A running gateway and the neighbour that uses it."""

    gateway: RunningGateway
    target: Target
    neighbour: Neighbour
    shortest_s: float = SHORTEST_S
    """Seconds for which an attack is repeated at least."""

    async def bout(self, attack: Attack) -> Bout:
        """Plays the attack, then waits for the same time.

        Raises:
            NoAnswerError: a request of the attack gets no answer, and its connection stays open.
        """
        start, outcomes = monotonic(), Counter[int]()
        while monotonic() < start + self.shortest_s:
            outcomes += await attack.play(self.target)
        end = monotonic()
        attacked = await self.neighbour.figures(start, end)
        resumed = monotonic()
        await asyncio.sleep(end - start)
        return Bout(attack, outcomes, attacked, await self.neighbour.figures(resumed, resumed + end - start))


def target_of(gateway: RunningGateway, model: str = "genre", image: Path = IMAGE) -> Target:
    """The gateway as a target of attacks."""
    url = urlsplit(gateway.url)
    assert url.hostname
    assert url.port
    return Target(url.hostname, url.port, model, image.read_bytes())
