"""Commands in the background, and waiting for what they bring about."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from torchserve_gateway.settings.composition import PROJECT_ROOT

GIVE_UP_S = 180


def until(holds: Callable[[], object]) -> None:
    """Returns when `holds()` does."""
    give_up = time.monotonic() + GIVE_UP_S
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.1)


def until_gone(pid: int) -> None:
    """Returns when there is no such process."""
    until(lambda: not Path(f"/proc/{pid}").exists())


class Process:
    """A command that runs, in a process group of its own; log: what it prints is added there."""

    def __init__(self, log: Path, command: list[str], environment: dict[str, str] | None = None) -> None:
        self.command = command
        with log.open("ab") as file:
            self._popen = subprocess.Popen(
                command,
                cwd=PROJECT_ROOT,
                env=os.environ | (environment or {}),
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def ended(self) -> bool:
        return self._popen.poll() is not None

    @property
    def returncode(self) -> int | None:
        return self._popen.poll()

    def signal(self, number: int) -> None:
        self._popen.send_signal(number)

    def kill(self) -> None:
        """Ends the process alone and at once, as the kernel does when memory is short."""
        self._popen.kill()
        self._popen.wait()

    def terminate(self) -> None:
        """Asks it to end and returns at once."""
        self._popen.terminate()

    def until_gone(self) -> None:
        """Returns when the process has ended; what it started is killed."""
        try:
            self._popen.wait(GIVE_UP_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
