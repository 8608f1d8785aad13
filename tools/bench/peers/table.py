"""The printed table, and a warning when the machine was too noisy."""

import statistics
from collections.abc import Sequence

from tools.bench.peers.contenders import Contender
from tools.bench.peers.machine import warnings

# Between the rounds of a row, (highest - lowest) / median.
NOISY = 0.25


def best_peer(rows: Sequence[Contender]) -> Contender | None:
    """The peer with the most images a second."""
    peers = [row for row in rows if row.is_peer]
    return max(peers, key=lambda row: statistics.median(row.rates), default=None)


def lines(title: str, rows: Sequence[Contender]) -> list[str]:
    """The table of one workload."""
    best = best_peer(rows)
    heads = ("images/s", "CPU ms/image", "client CPU", "spread", "max |Δp|", "/ best peer")
    found = [title, f"{'':<34}" + "".join(f"{head:>13}" for head in heads)]
    for row in rows:
        ratio = "-" if best is None else f"{_ratio(row, best):.2f}"
        found.append(
            f"{row.name:<34}{statistics.median(row.rates):>13.1f}{statistics.median(row.cpu_ms):>13.1f}"
            f"{statistics.median(row.client_shares):>13.1%}{spread(row):>13.0%}{row.difference:>13.4f}{ratio:>13}"
        )
    found.append(f"best peer: {best.name if best else 'none runs here'}")
    if noisy := [row.name for row in rows if spread(row) > NOISY]:
        found.append(f"WARNING: too noisy a machine, rounds differ by over {NOISY:.0%}: {', '.join(noisy)}")
    return found + warnings([share for row in rows for share in row.others_shares])


def spread(row: Contender) -> float:
    """How far the rounds lie apart, as a part of their median."""
    return (max(row.rates) - min(row.rates)) / statistics.median(row.rates)


def _ratio(row: Contender, best: Contender) -> float:
    """Median over the rounds, since a round's noise is in both."""
    return statistics.median(ours / theirs for ours, theirs in zip(row.rates, best.rates, strict=True))
