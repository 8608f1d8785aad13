"""CPU time of servers, of this process, and of everything else on the machine."""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time

from tools.bench.peers.process_tree import cpu_s

CORES = len(os.sched_getaffinity(0))
# Share of the cores that other programs may take before figures are doubtful.
QUIET = 0.1


@dataclass(frozen=True)
class Usage:
    """Between two moments."""

    seconds: float
    """Their distance."""
    servers_s: float
    """CPU time of the servers."""
    client_share: float
    """Share of this process in all cores."""
    others_share: float
    """Share of all other programs in all cores."""


class Meter:
    """Measures from its creation on."""

    def __init__(self, *servers: int) -> None:
        self._servers = servers
        self._begin = self._now()

    def usage(self) -> Usage:
        """The usage so far."""
        seconds, servers_s, client_s, busy_s = (
            now - then for now, then in zip(self._now(), self._begin, strict=True)
        )
        others_s = max(busy_s - servers_s - client_s, 0.0)
        return Usage(seconds, servers_s, client_s / seconds / CORES, others_s / seconds / CORES)

    def _now(self) -> tuple[float, float, float, float]:
        return perf_counter(), cpu_s(*self._servers), process_time(), _busy_s()


def described() -> str:
    """Processor, cores, Python and the date, above a table."""
    machine = f"{platform.machine()}, {CORES} cores, Python {platform.python_version()}"
    return f"{machine}, {datetime.now(UTC):%Y-%m-%d}"


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def warnings(others_shares: list[float]) -> list[str]:
    """A line about the other programs, as a warning when they took too much."""
    shares = sorted(others_shares)
    median, most = shares[len(shares) // 2], shares[-1]
    said = f"other programs took {median:.0%} of the machine in the median round, {most:.0%} at most"
    return [f"WARNING: too noisy a machine: {said}" if median > QUIET else said]


def _busy_s() -> float:
    """CPU time of everything, with that which other guests took from this machine."""
    # proc(5): user, nice, system, idle, iowait, irq, softirq, steal.
    fields = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
