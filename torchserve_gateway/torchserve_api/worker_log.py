"""TorchServe's model_log.log: output of the workers, tracebacks of handlers among it."""

import os
import re
from pathlib import Path

NAME = "model_log.log"
# Bytes of the end that are searched; a traceback has some thousand.
MAX_READ = 1_000_000
# Characters of an error in a message; that of a wrong checkpoint names every layer.
MAX_ERROR = 400
# TorchServe's own errors behind the handler's: a second try after any failed import, and the end of a worker
# whose model does not load.
OF_TORCHSERVE = re.compile(
    r"ModuleNotFoundError: No module named 'ts\.torch_handler\.|RuntimeError: \d{3} - "
)


class WorkerLog:
    """The lines that workers print from now on.

    Args:
        folder: TorchServe's folder of logs; None: on another machine.
        since_start: whether earlier lines count, too.
    """

    def __init__(self, folder: Path | None, *, since_start: bool = False) -> None:
        self._file = folder / NAME if folder else None
        self._start = 0 if since_start else self._size()

    def reason(self, model: str, version: str) -> str:
        """The error that the workers of a version failed with, or its place; continues a sentence."""
        if error := self.last_error(model, version):
            return f"the handler's last error: {error} (all of it: make logs OF=handler)"
        if self._file is None:
            return f"the reason is in TorchServe's {NAME}, on its machine"
        if not os.access(self._file, os.R_OK):
            return f"the reason is in TorchServe's {NAME}; there is none to read at {self._file}"
        return f"the reason is in {self._file}"

    def last_error(self, model: str, version: str) -> str | None:
        """The last error of a version's tracebacks that is not TorchServe's own, None if there is none."""
        errors = _errors(_lines_of(model, version, self._read()))
        while len(errors) > 1 and OF_TORCHSERVE.match(errors[-1]):
            errors.pop()
        return errors[-1][:MAX_ERROR] if errors else None

    def _size(self) -> int:
        try:
            return self._file.stat().st_size if self._file else 0
        except OSError:
            return 0

    def _read(self) -> str:
        # A smaller file is a new file: TorchServe rotates it.
        start = self._start if self._start <= self._size() else 0
        try:
            if self._file is None:
                return ""
            with self._file.open("rb") as file:
                file.seek(max(start, self._size() - MAX_READ))
                return file.read(MAX_READ).decode(errors="replace")
        except OSError:
            return ""


def _lines_of(model: str, version: str, text: str) -> list[str]:
    """Lines of one stream of one worker of the version, the last with a traceback; streams are mixed."""
    thread = rf"(W-\d+-{re.escape(model)}_{re.escape(version)}-std(?:out|err))"
    found = re.findall(rf"^\S+ \[\w+ *\] {thread} MODEL_LOG - (.*)$", text, re.MULTILINE)
    failed = next((stream for stream, line in reversed(found) if line.startswith("Traceback (")), None)
    return [line for stream, line in found if stream == failed]


def _errors(lines: list[str]) -> list[str]:
    """The exceptions of all tracebacks, each in one line."""
    errors: list[str] = []
    within = False
    for number, line in enumerate(lines):
        if line.startswith("Traceback ("):
            within = True
        elif within and line and not line[0].isspace():
            within = False
            errors.append(" ".join([line, *_indented(lines[number + 1 :])]))
    return errors


def _indented(lines: list[str]) -> list[str]:
    """The lines that continue a message of several lines."""
    end = next((number for number, line in enumerate(lines) if not line[:1].isspace()), len(lines))
    return [line.strip() for line in lines[:end]]
