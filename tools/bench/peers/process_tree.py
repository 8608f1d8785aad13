"""Servers as process trees: their CPU time, and their end."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import httpx

from torchserve_gateway.settings.composition import PROJECT_ROOT

START_S = 120.0
STOP_S = 10.0
POLL_S = 0.01
LOG_CHARACTERS = 1500


class NotStartedError(Exception):
    """A server ended, or does not answer in time; the message has the end of its log."""


@dataclass(frozen=True)
class Process:
    """A process, told from a later one with the same id by its start time."""

    pid: int
    parent: int
    started: int
    """Clock ticks since the machine's start."""
    cpu_s: float
    is_zombie: bool
    """Whether it has ended, with its files closed, and its parent has not read the exit code."""


def _processes() -> dict[int, Process]:
    found = {}
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            # It may end meanwhile.
            with contextlib.suppress(OSError):
                # proc(5): fields after the program's name, which may hold spaces.
                fields = (each / "stat").read_text().rpartition(")")[2].split()
                cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                pid, parent, started = int(each.name), int(fields[1]), int(fields[19])
                found[pid] = Process(pid, parent, started, cpu_s, is_zombie=fields[0] == "Z")
    return found


def trees(*roots: int) -> list[Process]:
    """The processes and all that descend from them."""
    everything = _processes()
    found, parents = [everything[root] for root in roots if root in everything], set(roots)
    while children := [
        each for each in everything.values() if each.parent in parents and each.pid not in parents
    ]:
        found += children
        parents |= {each.pid for each in children}
    return found


def cpu_s(*roots: int) -> float:
    """CPU time of the processes and all that descend from them."""
    return sum(each.cpu_s for each in trees(*roots))


@contextlib.contextmanager
def stopped(roots: Iterable[int], running: Iterable[int]) -> Iterator[None]:
    """Stops the processes and all that descend from them for the block, except the trees of `running`."""
    spared = {each.pid for each in trees(*running)}
    waiting = [each.pid for each in trees(*roots) if each.pid not in spared]
    try:
        _send(waiting, signal.SIGSTOP)
        yield
    finally:
        _send(waiting, signal.SIGCONT)


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@contextlib.contextmanager
def server(
    command: Sequence[str], ready_url: str, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a server that answers at the URL, and ends it with all of its processes.

    Raises:
        NotStartedError: it ended or does not answer.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            # Ctrl-C is for the bench, which stops its servers in order.
            start_new_session=True,
            cwd=PROJECT_ROOT,
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT), **environment},
            stdout=log,
            stderr=log,
        )
        try:
            if not _answers(process, ready_url):
                log.seek(0)
                said = log.read().decode(errors="replace")[-LOG_CHARACTERS:]
                raise NotStartedError(f"{' '.join(command)} does not answer at {ready_url}: {said}")
            yield process
        finally:
            _end(process)


@contextlib.contextmanager
def undisturbed_cleanup() -> Iterator[contextlib.ExitStack]:
    """Stops everything at the end, however often Ctrl-C is pressed meanwhile; SIGTERM ends as Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cleanup = contextlib.ExitStack()
    try:
        yield cleanup
    finally:
        before = [signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)]
        cleanup.close()
        for each, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(each, handler)


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    give_up = monotonic() + START_S
    while monotonic() < give_up and process.poll() is None:
        try:
            if httpx.get(url).is_success:
                return True
        except httpx.TransportError:
            pass
        sleep(0.2)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    # A parent that is killed leaves its children without a link to it.
    tree = trees(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    _send([each.pid for each in _still_running(tree)], signal.SIGKILL)
    process.wait()
    # A killed process holds its port until it has ended, and only its parent can wait for it.
    give_up = monotonic() + STOP_S
    while _still_running(tree) and monotonic() < give_up:
        sleep(POLL_S)


def _still_running(tree: Sequence[Process]) -> list[Process]:
    there = _processes()
    return [
        each
        for each in tree
        if (now := there.get(each.pid)) and now.started == each.started and not now.is_zombie
    ]
