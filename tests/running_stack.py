"""The real stack, started and spoken to as a user does: through the project's own commands."""

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.free_ports import free_ports
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.local_stack import StackSettings
from torchserve_gateway.settings.project import ProjectSettings


@dataclass(frozen=True)
class RunningStack:
    """A stack of its own: own ports, own state. overrides: what sets it apart, for every command."""

    directory: Path
    overrides: tuple[str, ...]

    @classmethod
    def configure(cls, directory: Path, *extra: str) -> "RunningStack":
        """Chooses ports and folders; starts nothing."""
        inference, management, metrics, grpc1, grpc2, gateway, browser = free_ports(7)
        return cls(
            directory,
            (
                f"torchserve.inference_url=http://127.0.0.1:{inference}",
                f"torchserve.management_url=http://127.0.0.1:{management}",
                f"torchserve.metrics_url=http://127.0.0.1:{metrics}",
                f"torchserve.grpc_inference_port={grpc1}",
                f"torchserve.grpc_management_port={grpc2}",
                f"torchserve.model_store={directory}/model_store",
                f"torchserve.deployments_dir={directory}/deployments",
                f"torchserve.key_file={directory}/var/torchserve/key_file.json",
                f"gateway.port={gateway}",
                f"file_browser.port={browser}",
                *extra,
            ),
        )

    @property
    def settings(self) -> StackSettings:
        return load("stack", StackSettings, [*self.overrides, *self._own("state_dir", "model_mars")])

    def stack(self, action: str, *extra: str) -> subprocess.CompletedProcess[str]:
        """`make up`, `down`, `status`."""
        own = self._own("state_dir", "model_mars")
        return run("-m", "torchserve_gateway", action, *self.overrides, *own, *extra)

    def generate_mar(self, version: str, *extra: str) -> subprocess.CompletedProcess[str]:
        """`make generate_mar VERSION=...`."""
        return run("-m", "torchserve_gateway", "generate-mar", *self._model(version), *extra)

    def upload_model(self, version: str, *extra: str) -> subprocess.CompletedProcess[str]:
        """`make upload_model VERSION=...`, of an archive that exists."""
        return run("upload_model.py", *self._model(version), "archive_source.build=false", *extra)

    def rollback(self, *extra: str) -> subprocess.CompletedProcess[str]:
        """`make rollback`."""
        return run("-m", "torchserve_gateway", "rollback", *self.overrides, *extra)

    def deploy(self, version: str, *extra: str) -> None:
        """Builds and uploads; both must succeed."""
        for step in (self.generate_mar, self.upload_model):
            result = step(version, *extra)
            assert result.returncode == 0, result.stderr

    def load(self, *extra: str) -> "BackgroundLoad":
        """`make run_stress` in the background; there is traffic when this returns."""
        return BackgroundLoad([*self.overrides, *extra])

    def versions(self, model: str = "genre") -> list[str]:
        """What TorchServe has registered."""
        url = f"{self.settings.torchserve.management_url}/models/{model}/all"
        return sorted(each["modelVersion"] for each in httpx.get(url).json())

    def pid(self, part: str) -> int:
        """Of `torchserve`, `gateway`, or the first `worker` of the default version."""
        if part == "worker":
            described = httpx.get(f"{self.settings.torchserve.management_url}/models/genre").json()
            return int(described[0]["workers"][0]["pid"])
        lines = self.stack("status").stdout.splitlines()
        return next(int(line.split("pid ")[1].split()[0]) for line in lines if line.startswith(part))

    def _model(self, version: str) -> tuple[str, ...]:
        return (f'model.version="{version}"', *self.overrides, *self._own("model_mars"))

    def _own(self, *keys: str) -> tuple[str, ...]:
        folders = {"state_dir": "var", "model_mars": "model_mars"}
        return tuple(f"{key}={self.directory}/{folders[key]}" for key in keys)


def handler(name: str) -> tuple[str, ...]:
    """What makes an archive with one of tests/handlers/."""
    model = load("gateway", ProjectSettings).model
    modules = [module.relative_to(PROJECT_ROOT) for module in (*model.handler_modules, model.handler)]
    return (
        f"model.handler=tests/handlers/{name}.py",
        f"model.handler_modules=[{','.join(map(str, modules))}]",
    )


class BackgroundLoad:
    """The stress script while it runs. It fails if a single request was not answered right."""

    def __init__(self, overrides: list[str]) -> None:
        command = [sys.executable, "stress.py", *overrides]
        self._process = subprocess.Popen(command, cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        self._stderr = self._process.stderr
        first = next(
            (line for line in self._stderr if "Performance" in line or "failed" in line), "no output"
        )
        assert "Performance" in first, first

    def stop(self) -> None:
        """Ends it early; there is still a result."""
        self._process.send_signal(signal.SIGINT)

    def result(self) -> tuple[int, str]:
        """Its exit code and what it logged, when it has ended."""
        output = self._stderr.read()
        return self._process.wait(timeout=60), output


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """One of the project's commands, to its end."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
