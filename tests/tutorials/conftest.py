"""Commands of the tutorials, as a reader types them."""

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.http_client import HTTP
from tests.processes import until
from tests.running_stack import RunningStack
from torchserve_gateway.settings.composition import PROJECT_ROOT

# Settings of our own folders, where a target has them.
STATE = ("up", "down", "serve-run", "run_ts", "run_nginx_filebrowser")
ARCHIVES = (*STATE, "generate_mar", "mar", "upload_model", "register-model")
# The environment is there; installing it anew would reach for an index.
INSTALLED = [part for name in ("", "-dev", "-examples") for part in ("-o", f".venv/.installed{name}")]


class Reader:
    """A reader of the tutorials in a checkout, with ports and state of their own."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        self.directory = stack.directory

    def command(self, target: str, *arguments: str, settings: tuple[str, ...] = ()) -> list[str]:
        own = [*self.stack.overrides, *settings]
        own += [f"state_dir={self.directory}/var"] * (target in STATE)
        own += [f"model_mars={self.directory}/model_mars"] * (target in ARCHIVES)
        said = [each for each in arguments if not each.startswith("ARGS=")]
        first = next((each.removeprefix("ARGS=") for each in arguments if each.startswith("ARGS=")), "")
        return ["make", *INSTALLED, "-o", "install", target, *said, f"ARGS={first} {shlex.join(own)}"]

    def tries(
        self, target: str, *arguments: str, settings: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """`make TARGET ARGUMENTS`, to its end."""
        return subprocess.run(
            self.command(target, *arguments, settings=settings),
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def make(self, target: str, *arguments: str, settings: tuple[str, ...] = ()) -> str:
        """The same, which must succeed; returns all that it printed."""
        done = self.tries(target, *arguments, settings=settings)
        assert done.returncode == 0, f"{done.args}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def study(self, target: str, *arguments: str) -> str:
        """`make TARGET` of a study, which starts a TorchServe of its own."""
        command = ["make", *INSTALLED, target, *arguments]
        done = subprocess.run(
            command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=500, check=False
        )
        assert done.returncode == 0, f"{done.args}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    @contextmanager
    def running(self, target: str, *arguments: str, answers: str) -> Iterator[None]:
        """`make TARGET` in the foreground of another terminal, until the end of the block."""
        with in_foreground(self.command(target, *arguments), PROJECT_ROOT, dict(os.environ), answers):
            yield


@contextmanager
def in_foreground(
    command: list[str], folder: Path, environment: dict[str, str], answers: str
) -> Iterator[None]:
    """A command that runs until the end of the block; it is there when the URL answers."""
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)
    try:
        until(lambda: process.poll() is not None or responds(answers))
        assert process.poll() is None, command
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def responds(url: str) -> bool:
    try:
        HTTP.get(url)
    except httpx.HTTPError:
        return False
    return True


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """With TorchServe and the gateway in two terminals."""
    stack = RunningStack.configure(
        tmp_path_factory.mktemp("reader"),
        "gateway.admission.max_wait_s=20",
        "gateway.deployments_refresh_s=0.1",
    )
    found = Reader(stack)
    settings = stack.settings
    with (
        found.running("serve-run", answers=f"{settings.torchserve.management_url}/models"),
        found.running("run_app", "MODELS=genre,digits", answers=f"{settings.gateway.url}/health/live"),
    ):
        yield found
