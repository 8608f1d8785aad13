"""Rounds in which the rows take turns, and the other servers stand still."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from tools.bench.peers.contenders import Contender
from tools.bench.peers.load import WrongAnswerError, answers, compare
from tools.bench.peers.machine import Meter
from tools.bench.peers.process_tree import stopped

CLIENTS = 16
ROUNDS = 5
ROUND_S = 3.0
# Java compiles what it runs often, and is not done after 5 s under load.
WARM_UP_S = 30.0
# Load before a measurement: after it stood still, a server's first seconds cost a tenth more.
SETTLE_S = 2.0


def checked(rows: Sequence[Contender], others: Sequence[Contender] = ()) -> list[Contender]:
    """The rows that answer all images right, one at a time and under load; says which do not."""
    return [row for row in rows if _runs(row, partial(_alone, roots(*rows, *others), _check))]


def play(
    rows: Sequence[Contender],
    beside: Callable[[], None] | None = None,
    rounds: int = ROUNDS,
    seconds: float = ROUND_S,
    settle_s: float = SETTLE_S,
) -> list[Contender]:
    """Measures all rows in turns; returns those that answered right to the end.

    beside: a measurement without a server, in every round.
    """
    left = list(rows)
    measure = partial(_alone, roots(*rows), partial(_measure, seconds=seconds, settle_s=settle_s))
    for _ in range(rounds):
        left = [row for row in left if _runs(row, measure)]
        if beside:
            with stopped(roots(*rows), ()):
                beside()
    return left


def roots(*rows: Contender) -> set[int]:
    """Process ids of the rows' servers."""
    return {pid for row in rows for pid in row.pids}


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


def _alone(everything: Iterable[int], action: Callable[[Contender], None], row: Contender) -> None:
    # LitServe and Ray Serve poll while they wait, up to half a core.
    with stopped(everything, row.pids):
        action(row)


def _measure(row: Contender, seconds: float, settle_s: float) -> None:
    answers(row.load, CLIENTS, settle_s)
    meter = Meter(*row.pids)
    answered = answers(row.load, CLIENTS, seconds)
    usage = meter.usage()
    row.rates.append(answered / usage.seconds)
    row.cpu_ms.append(usage.servers_s / answered * 1000)
    row.client_shares.append(usage.client_share)
    row.others_shares.append(usage.others_share)
