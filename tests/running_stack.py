"""The real stack, started and spoken to as a user does: through the project's own commands."""

import functools
import itertools
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.archives import with_files, with_handler, with_manifest
from tests.free_ports import free_ports
from tests.http_client import HTTP
from torchserve_gateway.downloads import sha256
from torchserve_gateway.local_stack.supervisor import Supervisor
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.local_stack import StackSettings
from torchserve_gateway.settings.project import ProjectSettings


@dataclass(frozen=True)
class RunningStack:
    """A stack of its own: own ports, own state."""

    directory: Path
    overrides: tuple[str, ...]
    """Hydra overrides that set it apart, for every command."""
    built: Path | None = None
    """A built archive, from which `add_archive` makes others; None: `deploy` builds each."""
    deploy_overrides: tuple[str, ...] = ()
    """Hydra overrides for the commands that deploy and roll back."""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(100))
    """Of the versions that `fresh_version` gives out."""

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
                f"torchserve.log_dir={directory}/var/log",
                f"gateway.port={gateway}",
                # On any machine; a test that is about several says so.
                "gateway.processes=1",
                f"file_browser.port={browser}",
                *extra,
            ),
        )

    @functools.cached_property
    def settings(self) -> StackSettings:
        return load("stack", StackSettings, [*self.overrides, *self._own("state_dir", "model_mars")])

    def stack(self, action: str, *extra: str) -> subprocess.CompletedProcess[str]:
        """`make up`, `down`, `status`."""
        own = self._own("state_dir", "model_mars")
        return run("-m", "torchserve_gateway", action, *self.overrides, *own, *extra)

    def generate_mar(self, version: str, *extra: str) -> subprocess.CompletedProcess[str]:
        """`make generate_mar VERSION=...`."""
        return generate_mar(version, *self._model(version)[1:], *extra)

    def upload_model(self, version: str, *extra: str) -> subprocess.CompletedProcess[str]:
        """`make upload_model VERSION=...`, of an archive that exists."""
        named = any(each.startswith("archive_source=") for each in extra)
        return run(*self.upload_command(version), *(() if named else ("archive_source=model_mars",)), *extra)

    def upload_command(self, version: str) -> tuple[str, ...]:
        """The arguments of Python for `make upload_model`, of an archive that exists."""
        return "upload_model.py", *self._model(version), *self.deploy_overrides

    def rollback(self, *extra: str) -> subprocess.CompletedProcess[str]:
        """`make rollback`."""
        return run("-m", "torchserve_gateway", "rollback", *self.overrides, *self.deploy_overrides, *extra)

    def overview(self, *extra: str) -> subprocess.CompletedProcess[str]:
        """`make models`."""
        return run("-m", "torchserve_gateway", "models", *self.overrides, *extra)

    def adopt(self, *extra: str) -> subprocess.CompletedProcess[str]:
        """`make adopt`."""
        return run("-m", "torchserve_gateway", "adopt", *self.overrides, *extra)

    def grpc(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`make grpc`."""
        return run("-m", "torchserve_gateway", "grpc", *arguments, *self.overrides)

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`make manage`."""
        return run("-m", "torchserve_gateway", "manage", *arguments, *self.overrides)

    @contextmanager
    def running(self, version: str | None = None, *extra: str) -> Iterator["RunningStack"]:
        """Up, with this version deployed; down at the end."""
        started = self.stack("up", *extra)
        assert started.returncode == 0, started.stderr
        try:
            if version:
                self.deploy(version)
            yield self
        finally:
            stopped = self.stack("down")
            assert stopped.returncode == 0, stopped.stderr

    def fresh_version(self) -> str:
        """A version that this stack has given to no other test."""
        return f"{next(self.numbers)}.0"

    def archive(
        self,
        version: str,
        model: str = "genre",
        handler: str | None = None,
        files: Mapping[str, bytes | None] | None = None,
    ) -> bytes:
        """The built archive as another version.

        handler: one of tests/handlers/; files: in the place of its own.
        """
        assert self.built
        archive = with_manifest(self.built.read_bytes(), modelName=model, modelVersion=version)
        if handler:
            archive = with_handler(archive, handler)
        return with_files(archive, files or {})

    def add_archive(
        self,
        version: str,
        model: str = "genre",
        handler: str | None = None,
        files: Mapping[str, bytes | None] | None = None,
    ) -> Path:
        """Puts such an archive, with its checksum, where `make generate_mar` does."""
        archive = self.directory / "model_mars" / f"{model}-{version}.mar"
        archive.parent.mkdir(exist_ok=True)
        archive.write_bytes(self.archive(version, model, handler, files))
        archive.with_name(f"{archive.name}.sha256").write_text(f"{sha256(archive)}  {archive.name}\n")
        return archive

    def deploy(self, version: str, *extra: str) -> None:
        """Provides the archive and uploads it; both must succeed."""
        if self.built:
            self.add_archive(version)
        else:
            built = self.generate_mar(version, *extra)
            assert built.returncode == 0, built.stderr
        deployed = self.upload_model(version, *extra)
        assert deployed.returncode == 0, deployed.stderr

    def deploy_fresh(self, *extra: str) -> str:
        """Deploys a version that no other test knows, and returns it."""
        version = self.fresh_version()
        self.deploy(version, *extra)
        return version

    def load(self, *extra: str) -> "BackgroundLoad":
        """`make run_stress` in the background; there is traffic when this returns."""
        return BackgroundLoad([*self.overrides, *extra])

    def versions(self, model: str = "genre") -> list[str]:
        """What TorchServe has registered."""
        url = f"{self.settings.torchserve.management_url}/models/{model}/all"
        return sorted(each["modelVersion"] for each in HTTP.get(url).json())

    def pid(self, part: str) -> int:
        """Of `torchserve`, `gateway`, or the first `worker` of the default version."""
        if part == "worker":
            described = HTTP.get(f"{self.settings.torchserve.management_url}/models/genre").json()
            return int(described[0]["workers"][0]["pid"])
        return next(each.pid for each in Supervisor(self.settings).parts() if each.name == part)

    def _model(self, version: str) -> tuple[str, ...]:
        return (f'model.version="{version}"', *self.overrides, *self._own("model_mars"))

    def _own(self, *keys: str) -> tuple[str, ...]:
        folders = {"state_dir": "var", "model_mars": "model_mars"}
        return tuple(f"{key}={self.directory}/{folders[key]}" for key in keys)


def generate_mar(version: str, *overrides: str) -> subprocess.CompletedProcess[str]:
    """`make generate_mar VERSION=...`."""
    return run("-m", "torchserve_gateway", "generate-mar", f'model.version="{version}"', *overrides)


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
