"""Runs a module of the project in a process of its own and reads its lines."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from threading import Thread

from torchserve_gateway.settings.composition import PROJECT_ROOT


class ChildProcess:
    """`python -m <module> <arguments>`, which runs until it is killed; `lines` holds its output so far."""

    def __init__(self, module: str, *arguments: str) -> None:
        self.lines: list[str] = []
        command = [sys.executable, "-m", module, *arguments]
        self._popen = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True)
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._popen.poll() is not None

    def kill(self) -> None:
        """Ends the process and reads its remaining lines."""
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
    """Starts a child process and kills it at the end."""
    child = ChildProcess(module, *arguments)
    try:
        yield child
    finally:
        child.kill()
