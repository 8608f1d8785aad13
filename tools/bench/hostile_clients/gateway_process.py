"""Runs the gateway in a process of its own and reads the figures that an attack must not change."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import httpx

from torchserve_gateway.settings.composition import PROJECT_ROOT

START_S = 60
POLL_S = 0.05
# A new connection each time, as `httpx.get` makes, which also loads all trusted certificates each time.
HTTP = httpx.Client(timeout=START_S, limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)


@dataclass(frozen=True)
class Vitals:
    """Resources of a gateway."""

    resident_bytes: int
    """Resident memory."""
    open_files: int
    """Open descriptors, connections included."""
    series: int
    """Time series of the metrics."""


@dataclass(frozen=True)
class RunningGateway:
    """A running gateway."""

    url: str
    pid: int
    log: Path
    """File of the log."""

    @property
    def is_alive(self) -> bool:
        """Whether the process runs; a zombie does not."""
        try:
            return "State:\tZ" not in Path(f"/proc/{self.pid}/status").read_text()
        except FileNotFoundError:
            return False

    @property
    def resident_bytes(self) -> int:
        """Resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found, status
        return int(found[1]) * 1024

    @property
    def open_files(self) -> int:
        """Number of open descriptors, connections included."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def vitals(self) -> Vitals:
        """Current resources."""
        page = HTTP.get(f"{self.url}/metrics").raise_for_status().text
        series = sum(not line.startswith("#") for line in page.splitlines())
        return Vitals(self.resident_bytes, self.open_files, series)

    def is_ready(self) -> bool:
        """Whether the gateway would answer a prediction."""
        try:
            return HTTP.get(f"{self.url}/health/ready").status_code == 200
        except httpx.HTTPError:
            return False


@contextlib.contextmanager
def gateway_process(url: str, overrides: Sequence[str], log: Path) -> Iterator[RunningGateway]:
    """Runs `app.py` with its output in `log`; ready when this yields.

    Raises:
        RuntimeError: the gateway does not become ready.
    """
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "app.py", *overrides], cwd=PROJECT_ROOT, stdout=file, stderr=subprocess.STDOUT
        )
    gateway = RunningGateway(url, process.pid, log)
    try:
        give_up = monotonic() + START_S
        while not gateway.is_ready():
            if process.poll() is not None or monotonic() > give_up:
                raise RuntimeError(f"the gateway does not start; {_last_lines(log)}")
            sleep(POLL_S)
        yield gateway
    finally:
        process.terminate()
        process.wait()


def _last_lines(log: Path) -> str:
    return log.read_text()[-1000:] if log.is_file() else f"its output goes to {log}"
