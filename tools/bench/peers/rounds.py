"""Rounds in which the rows take turns."""

from collections.abc import Callable, Sequence
from functools import partial
from time import sleep

from tools.bench.peers.contenders import Contender
from tools.bench.peers.load import WrongAnswerError, answers, compare
from tools.bench.peers.machine import Meter
from tools.bench.peers.process_tree import cpu_s

CLIENTS = 16
ROUNDS = 5
ROUND_S = 3.0
WARM_UP_S = 2.0
IDLE_S = 2.0


def checked(rows: Sequence[Contender]) -> list[Contender]:
    """The rows that answer all images right, one at a time and under load; says which do not."""
    return [row for row in rows if _runs(row, _check)]


def play(rows: Sequence[Contender], rounds: int = ROUNDS, seconds: float = ROUND_S) -> list[Contender]:
    """Measures all rows in turns; returns those that answered right to the end."""
    left = list(rows)
    for _ in range(rounds):
        left = [row for row in left if _runs(row, partial(_measure, seconds=seconds))]
    return left


def cpu_at_rest(rows: Sequence[Contender]) -> float:
    """Cores that all servers together use while nothing is asked."""
    pids = {pid for row in rows for pid in row.pids}
    before = cpu_s(*pids)
    sleep(IDLE_S)
    return (cpu_s(*pids) - before) / IDLE_S


def _runs(row: Contender, action: Callable[[Contender], None]) -> bool:
    try:
        action(row)
    except (WrongAnswerError, OSError) as exc:
        print(f"{row.name} is not measured: {exc or type(exc).__name__}", flush=True)
        return False
    return True


def _check(row: Contender) -> None:
    row.difference = compare(row.load)
    row.warm_up = answers(row.load, CLIENTS, WARM_UP_S)


def _measure(row: Contender, seconds: float) -> None:
    meter = Meter(*row.pids)
    answered = answers(row.load, CLIENTS, seconds)
    usage = meter.usage()
    row.rates.append(answered / usage.seconds)
    row.cpu_ms.append(usage.servers_s / answered * 1000)
    row.client_shares.append(usage.client_share)
    row.others_shares.append(usage.others_share)
