"""Measurements as lines of JSON, so that an interrupted search goes on where it ended."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic

from pydantic import ValidationError

from torchserve_gateway.tuning.windows import Plan, Window


class JournalError(Exception):
    """The journal cannot be read or written."""


class OutOfTimeError(Exception):
    """A measurement was not begun, as the time for it is over."""


class Journal:
    """The measurements under the same circumstances, in a file named after them."""

    def __init__(self, directory: Path, circumstances: Mapping[str, object], *, fresh: bool = False) -> None:
        """Reads the file, if there is one.

        Raises:
            JournalError: it cannot be read, or is no journal.
        """
        head = json.dumps(circumstances, sort_keys=True, default=str)
        self.file = directory / f"{hashlib.sha256(head.encode()).hexdigest()[:12]}.jsonl"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if fresh or not self.file.exists():
                self.file.write_text(f"{head}\n")
            lines = self.file.read_text().splitlines(keepends=True)
            if lines and not lines[-1].endswith("\n"):
                # A run was killed while it wrote.
                self.file.write_text("".join(lines := lines[:-1]))
            self.windows = [Window.model_validate_json(line) for line in lines[1:]]
        except (OSError, ValidationError) as exc:
            raise JournalError(f"{self.file}: {exc}; fresh=true begins it anew") from exc

    def add(self, window: Window) -> None:
        """Writes a measurement to the disk.

        Raises:
            JournalError: it cannot be written.
        """
        self.windows.append(window)
        try:
            with self.file.open("a") as file:
                file.write(f"{window.model_dump_json()}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as exc:
            raise JournalError(f"{self.file}: {exc.strerror}") from exc


class Remembered:
    """Measures what the journal does not have yet, until a point in time by `monotonic`."""

    def __init__(
        self,
        journal: Journal,
        measure: Callable[[Plan], Window],
        until_s: float,
        log: Callable[[Window], None],
    ) -> None:
        self._journal = journal
        self._known = {each.plan: each for each in journal.windows}
        self._measure = measure
        self._until_s = until_s
        self._log = log

    def __call__(self, plan: Plan) -> Window:
        """The measurement.

        Raises:
            OutOfTimeError: it is not in the journal, and the time is over.
        """
        if plan not in self._known:
            if monotonic() >= self._until_s:
                raise OutOfTimeError
            self._known[plan] = self._measure(plan)
            self._journal.add(self._known[plan])
            self._log(self._known[plan])
        return self._known[plan]
