"""Rounds in which the rows take turns."""

import os
from collections.abc import Sequence
from time import perf_counter, process_time, sleep

from tools.bench.peers.contenders import Contender
from tools.bench.peers.load import WrongAnswerError, answers, compare
from tools.bench.peers.process_tree import cpu_s

CLIENTS = 16
ROUNDS = 3
ROUND_S = 3.0
WARM_UP_S = 2.0
IDLE_S = 2.0


def checked(rows: Sequence[Contender]) -> list[Contender]:
    """The rows that answer all images right, one at a time and under load; says which do not."""
    found = []
    for row in rows:
        try:
            row.difference = compare(row.load)
            answers(row.load, CLIENTS, WARM_UP_S)
        except (WrongAnswerError, OSError) as exc:
            print(f"{row.name} is not measured: {exc}", flush=True)
        else:
            found.append(row)
    return found


def play(rows: Sequence[Contender]) -> None:
    """Measures all rows in turns; raises as `answers`."""
    for _ in range(ROUNDS):
        for row in rows:
            _measure(row)


def cpu_at_rest(rows: Sequence[Contender]) -> float:
    """Cores that all servers together use while nothing is asked."""
    pids = {pid for row in rows for pid in row.pids}
    before = cpu_s(*pids)
    sleep(IDLE_S)
    return (cpu_s(*pids) - before) / IDLE_S


def _measure(row: Contender) -> None:
    servers, client, begin = cpu_s(*row.pids), process_time(), perf_counter()
    answered = answers(row.load, CLIENTS, ROUND_S)
    seconds = perf_counter() - begin
    client_s = process_time() - client
    row.rates.append(answered / seconds)
    row.cpu_ms.append((cpu_s(*row.pids) - servers) / answered * 1000)
    row.client_shares.append(client_s / seconds / len(os.sched_getaffinity(0)))
