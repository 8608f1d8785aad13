"""A module of ours in a process of its own, and the lines that it prints."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from threading import Thread

from torchserve_gateway.settings.composition import PROJECT_ROOT


class ChildProcess:
    """`python -m <module> <arguments>`, which runs until it is killed. lines: what it printed so far."""

    def __init__(self, module: str, *arguments: str) -> None:
        self.lines: list[str] = []
        command = [sys.executable, "-m", module, *arguments]
        self._popen = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True)
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._popen.poll() is not None

    def kill(self) -> None:
        """Returns when it is gone, and its lines are read."""
        self._popen.kill()
        self._popen.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self._popen.stdout
        with self._popen.stdout as output:
            for line in output:
                self.lines.append(line.rstrip("\n"))


@contextlib.contextmanager
def child_process(module: str, *arguments: str) -> Iterator[ChildProcess]:
    """Kills it at the end."""
    child = ChildProcess(module, *arguments)
    try:
        yield child
    finally:
        child.kill()
