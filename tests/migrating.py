"""The commands of docs/migrating.md, called in a folder of their reader."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.http_client import answers
from tests.processes import Process, until
from tests.shown_blocks import fenced
from torchserve_gateway.settings.composition import PROJECT_ROOT

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
PROGRAM = "torchserve-gateway"


def blocks(heading: str, page: str = "migrating") -> list[str]:
    """The code blocks below a heading of a page."""
    _, found, rest = (PROJECT_ROOT / f"docs/{page}.md").read_text().partition(f"## {heading}\n")
    assert found, heading
    return [block.text for block in fenced(rest.split("\n## ")[0])]


def argv(line: str) -> list[str]:
    """A line of the page for this Python, in which nothing is installed."""
    program, *arguments = shlex.split(line, comments=True)
    assert program == PROGRAM
    return [sys.executable, "-m", program.replace("-", "_"), *arguments]


def call(folder: Path, line: str, *extra: str) -> subprocess.CompletedProcess[str]:
    """Runs a line to its end."""
    command = [*argv(line), *extra]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False
    )


def said(folder: Path, line: str, *extra: str) -> str:
    """What a line printed, which had to succeed."""
    done = call(folder, line, *extra)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def gateway(folder: Path, line: str, port: int) -> Iterator[str]:
    """The gateway of a line, until the end of the block; yields its URL."""
    log, url = folder / f"gateway-{port}.log", f"http://127.0.0.1:{port}"
    own = [f"gateway.port={port}", "gateway.log_format=json", "gateway.processes=1"]
    process = Process(log, ["env", "-C", str(folder), *argv(line), *own], ENVIRONMENT)
    try:
        until(lambda: process.ended or answers(f"{url}/health/ready"))
        assert not process.ended, log.read_text()
        yield url
    finally:
        process.terminate()
        process.until_gone()


def asked(folder: Path, line: str, **variables: str) -> bytes:
    """The answer to a line with curl, which had to be a success."""
    script = f"set -eo pipefail; {line}".replace("curl ", "curl --silent --fail-with-body ")
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout.decode()}{done.stderr.decode()}"
    return done.stdout
