"""`make logs`: the log of a part of the stack in the background."""

import os
from collections.abc import Sequence
from typing import Literal

from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.local_stack import StackSettings

LoggingPart = Literal["gateway", "torchserve", "handler", "all"]
LOGS: dict[LoggingPart, tuple[str, ...]] = {
    "gateway": ("gateway.log",),
    # Its output, which repeats ts_log.log and model_log.log.
    "torchserve": ("torchserve.log",),
    "handler": ("model_log.log",),
    "all": ("gateway.log", "torchserve.log", "supervisord.log"),
}
"""Files of a part; no two of them have the same lines."""


class NoLogError(Exception):
    """There is no such log yet."""


def logs(settings: StackSettings, part: LoggingPart) -> None:
    """Follows the log of a part until interrupted.

    Raises:
        NoLogError: there is no such log yet.
    """
    files = [settings.log_dir / name for name in LOGS[part]]
    there = [str(file) for file in files if file.exists()]
    if not there:
        raise NoLogError(f"there is no {files[0]} yet; make up starts the stack")
    os.execvp("tail", ["tail", "-n", "20", "-F", *there])  # noqa: S606 - its arguments are our own files


def main(part: LoggingPart, argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("stack", StackSettings, lambda settings: logs(settings, part), (NoLogError,), argv)
