"""A real stack for one measurement, driven by the project's own commands."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpx

from torchserve_gateway.local_stack.free_ports import free_ports
from torchserve_gateway.local_stack.supervisor import Supervisor
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.local_stack import StackSettings

PART_TIMEOUT_S = 300


class StackCommandError(Exception):
    """A command of the stack failed; the message is its error output."""


@dataclass(frozen=True)
class ThrowawayStack:
    """TorchServe and gateway on free ports, with their state in a folder of their own."""

    directory: Path
    """Folder of all state."""
    overrides: tuple[str, ...]
    """Settings of every command."""

    @cached_property
    def settings(self) -> StackSettings:
        """Settings of the running stack."""
        return load("stack", StackSettings, [*self.overrides, self._folder("state_dir")])

    def up(self) -> None:
        """Starts the stack and returns when it answers; raises as `run`."""
        run("-m", "torchserve_gateway", "up", *self.overrides, self._folder("state_dir"))

    def down(self) -> None:
        """Stops the stack; raises as `run`."""
        run("-m", "torchserve_gateway", "down", *self.overrides, self._folder("state_dir"))

    def generate_mar(self, version: str, *overrides: str) -> Path:
        """Builds an archive and returns its file; raises as `run`."""
        command = ("-m", "torchserve_gateway", "generate-mar")
        return Path(run(*command, *self._model(version), *overrides).strip())

    def upload_model(self, version: str, *overrides: str) -> None:
        """Deploys an archive that `generate_mar` built; raises as `run`."""
        run("upload_model.py", *self._model(version), *overrides)

    def deploy(self, version: str, *overrides: str) -> None:
        """Builds and deploys; raises as `run`."""
        self.generate_mar(version, *overrides)
        self.upload_model(version, *overrides)

    def versions(self, model: str) -> list[str]:
        """Versions of a model that TorchServe has registered."""
        url = f"{self.settings.torchserve.management_url}/models/{model}/all"
        return sorted(each["modelVersion"] for each in httpx.get(url).json())

    def pid(self, part: str) -> int:
        """Process id of `torchserve`, `gateway`, or the first `worker` of the default version."""
        if part == "worker":
            described = httpx.get(f"{self.settings.torchserve.management_url}/models/genre").json()
            return int(described[0]["workers"][0]["pid"])
        return next(each.pid for each in Supervisor(self.settings).parts() if each.name == part)

    def _model(self, version: str) -> tuple[str, ...]:
        return (f'model.version="{version}"', *self.overrides, self._folder("model_mars"))

    def _folder(self, key: str) -> str:
        return f"{key}={self.directory / key}"


def run(*arguments: str) -> str:
    """Runs a command of the project and returns its output.

    Raises:
        StackCommandError: its exit code is not 0.
    """
    command = [sys.executable, *arguments]
    ended = subprocess.run(
        command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=PART_TIMEOUT_S, check=False
    )
    if ended.returncode:
        raise StackCommandError(ended.stderr)
    return ended.stdout


@contextlib.contextmanager
def throwaway_stack(*overrides: str) -> Iterator[ThrowawayStack]:
    """Starts a stack with nothing deployed, and stops it at the end.

    Raises:
        StackCommandError: it does not start or stop.
    """
    inference, management, metrics, grpc_inference, grpc_management, gateway = free_ports(6)
    with tempfile.TemporaryDirectory() as directory:
        stack = ThrowawayStack(
            Path(directory),
            (
                f"torchserve.inference_url=http://127.0.0.1:{inference}",
                f"torchserve.management_url=http://127.0.0.1:{management}",
                f"torchserve.metrics_url=http://127.0.0.1:{metrics}",
                f"torchserve.grpc_inference_port={grpc_inference}",
                f"torchserve.grpc_management_port={grpc_management}",
                f"torchserve.model_store={directory}/model_store",
                f"torchserve.deployments_dir={directory}/deployments",
                f"torchserve.key_file={directory}/key_file.json",
                f"torchserve.log_dir={directory}/state_dir/log",
                f"gateway.port={gateway}",
                # Measurements are of one process, by its id.
                "gateway.processes=1",
                *overrides,
            ),
        )
        try:
            stack.up()
            yield stack
        finally:
            stack.down()
