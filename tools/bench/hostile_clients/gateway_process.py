"""The gateway in a process of its own, and what an attack must leave as it was."""

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


@dataclass(frozen=True)
class Vitals:
    """resident_bytes: what the process has in memory; open_files: descriptors; series: of its metrics."""

    resident_bytes: int
    open_files: int
    series: int


@dataclass(frozen=True)
class RunningGateway:
    """A gateway that somebody started. log: the file it writes its lines to."""

    url: str
    pid: int
    log: Path

    @property
    def is_alive(self) -> bool:
        """Whether the process runs; one that ended and was not waited for does not."""
        try:
            return "State:\tZ" not in Path(f"/proc/{self.pid}/status").read_text()
        except FileNotFoundError:
            return False

    @property
    def resident_bytes(self) -> int:
        """What the process has in memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found, status
        return int(found[1]) * 1024

    @property
    def open_files(self) -> int:
        """Descriptors, connections among them."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def vitals(self) -> Vitals:
        """As they are now."""
        page = httpx.get(f"{self.url}/metrics", timeout=START_S).raise_for_status().text
        series = sum(not line.startswith("#") for line in page.splitlines())
        return Vitals(self.resident_bytes, self.open_files, series)

    def is_ready(self) -> bool:
        """Whether a prediction would be answered."""
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=START_S).status_code == 200
        except httpx.HTTPError:
            return False


@contextlib.contextmanager
def gateway_process(url: str, overrides: Sequence[str], log: Path) -> Iterator[RunningGateway]:
    """`app.py` with its output in `log`, ready.

    Raises:
        RuntimeError: it does not become ready.
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
