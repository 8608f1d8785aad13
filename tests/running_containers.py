"""The stack in containers, started and spoken to as a user does: through make and the container engine."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import Any

from torchserve_gateway.settings.composition import PROJECT_ROOT

PROJECT = "torchserve-gateway-test"
SERVICES = ("torchserve", "haproxy", "gateway", "file-browser")
COMPOSE = {"docker": ("docker", "compose"), "podman": ("podman-compose",)}


@dataclass(frozen=True)
class Containers:
    """A compose project of its own: own ports, own volumes. engine: docker or podman.

    environment: what the compose file reads besides.
    """

    engine: str
    gateway_port: int
    file_browser_port: int
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def file_browser_url(self) -> str:
        return f"http://127.0.0.1:{self.file_browser_port}"

    def make(self, *arguments: str) -> str:
        """What a target printed; it must succeed."""
        return self._printed("make", *arguments)

    def compose(self, *arguments: str) -> str:
        """What a command of compose printed; it must succeed."""
        return self._printed(*COMPOSE[self.engine], "-f", "docker/compose.yaml", *arguments)

    def __call__(self, *arguments: str) -> str:
        """What a command of the engine printed; it must succeed."""
        return self._printed(self.engine, *arguments)

    def succeeds(self, *arguments: str) -> bool:
        """Whether a command of the engine does."""
        return self._run(self.engine, *arguments).returncode == 0

    def logs(self, container: str) -> str:
        """What it printed, by either way."""
        done = self._run(self.engine, "logs", container)
        return done.stdout + done.stderr

    def of(self, service: str) -> list[str]:
        """Names of a service's containers, running or not."""
        labels = (f"com.docker.compose.project={PROJECT}", f"com.docker.compose.service={service}")
        filters = [f"--filter=label={label}" for label in labels]
        return sorted(self("ps", "--all", "--format", "{{.Names}}", *filters).split())

    def inspect(self, container: str) -> dict[str, Any]:
        """What the engine knows about a container."""
        [described] = json.loads(self("inspect", container))
        return dict(described)

    def is_healthy(self, container: str) -> bool:
        """Whether its health check passes; podman runs it now, docker has run it."""
        if self.engine == "podman":
            return self.succeeds("healthcheck", "run", container)
        return bool(self.inspect(container)["State"]["Health"]["Status"] == "healthy")

    def asks(self, network: str, url: str) -> bool:
        """Whether a container on one of the project's networks gets an answer from there."""
        image = "localhost/torchserve-gateway/gateway:latest"
        on_network = ("run", "--rm", "--network", f"{PROJECT}_{network}", image)
        return self.succeeds(*on_network, "docker/answers.py", url)

    def deployed(self) -> list[dict[str, Any]]:
        """What `make compose_models` says, a row for each version."""
        return list(json.loads(self.make("compose_models", "ARGS=format=json")))

    def _printed(self, *command: str) -> str:
        done = self._run(*command)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        own = {
            "CONTAINER_ENGINE": self.engine,
            "COMPOSE_PROJECT_NAME": PROJECT,
            "GATEWAY_PORT": str(self.gateway_port),
            "FILE_BROWSER_PORT": str(self.file_browser_port),
        }
        # These tell a make that another one has started it, which then says more than it is asked for.
        inherited = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL")}
        return subprocess.run(
            command,
            cwd=PROJECT_ROOT,
            env=inherited | own | self.environment,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )


def engine_here() -> str | None:
    """The engine that answers and has compose, docker first; None without one."""
    for engine, compose in COMPOSE.items():
        programs = ((engine, "info"), (*compose, "version"))
        if all(shutil.which(program[0]) and _succeeds(program) for program in programs):
            return engine
    return None


def _succeeds(command: tuple[str, ...]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
