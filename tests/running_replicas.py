"""Three real TorchServes behind a real HAProxy and one real gateway, each a process of its own."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.free_ports import free_ports
from tests.processes import Process, until
from tests.running_stack import RunningStack, run
from torchserve_gateway.settings.composition import load
from torchserve_gateway.settings.local_stack import StackSettings

# HAProxy has 127.0.0.1.
HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")


@dataclass
class Replica:
    """One TorchServe. process: None before its first start."""

    directory: Path
    management_url: str
    overrides: tuple[str, ...]
    process: Process | None = None
    http: httpx.Client = field(default_factory=httpx.Client)

    def start(self) -> None:
        command = [sys.executable, "-m", "torchserve_gateway.commands.torchserve", *self.overrides]
        self.process = Process(self.directory / "torchserve.out", command)

    def kill(self) -> None:
        assert self.process
        self.process.kill()

    @property
    def runtime_dir(self) -> Path:
        return load("stack", StackSettings, self.overrides).runtime_dir

    def answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self.http.get(f"{self.management_url}/models").status_code == 200
        return False

    def versions(self) -> list[str]:
        return sorted(each["modelVersion"] for each in self._described("/all"))

    def serves(self) -> str | None:
        """The default version if a worker of it would answer now."""
        with contextlib.suppress(httpx.TransportError):
            for default in self._described(""):
                if any(worker["status"] == "READY" for worker in default["workers"]):
                    return str(default["modelVersion"])
        return None

    def _described(self, path: str) -> list[dict[str, Any]]:
        response = self.http.get(f"{self.management_url}/models/genre{path}")
        return list(response.json()) if response.status_code == 200 else []


@dataclass
class RunningReplicas:
    """The whole. deployer: the project's commands with the settings that gateway and deployer share.

    inference_port, management_port: of each replica; balancer: host and port of HAProxy.
    """

    directory: Path
    replicas: list[Replica]
    deployer: RunningStack
    inference_port: int
    management_port: int
    balancer: str
    gateway_url: str
    processes: list[Process] = field(default_factory=list)

    @classmethod
    def configure(cls, directory: Path) -> "RunningReplicas":
        """Chooses ports and folders; starts nothing."""
        inference, management, metrics, grpc1, grpc2, balancer, gateway = free_ports(7)
        shared = (
            f"torchserve.model_store={directory}/model_store",
            f"torchserve.deployments_dir={directory}/deployments",
        )
        replicas = []
        for host in HOSTS:
            own = directory / host
            own.mkdir()
            overrides = (
                *shared,
                f"torchserve.inference_url=http://{host}:{inference}",
                f"torchserve.management_url=http://{host}:{management}",
                f"torchserve.metrics_url=http://{host}:{metrics}",
                f"torchserve.grpc_inference_port={grpc1}",
                f"torchserve.grpc_management_port={grpc2}",
                f"state_dir={own}",
            )
            replicas.append(Replica(own, f"http://{host}:{management}", overrides))
        deployer = RunningStack(
            directory,
            (
                *shared,
                f"torchserve.inference_url=http://127.0.0.1:{balancer}",
                f"torchserve.management_urls=[{','.join(each.management_url for each in replicas)}]",
                f"torchserve.replica_inference_port={inference}",
                f"gateway.port={gateway}",
                # Workers of three TorchServes share the machine, and of two versions while one is deployed.
                "model.workers=1",
                # So long every request is in TorchServe: whenever a replica is killed it holds some.
                "model.max_batch_delay=500",
            ),
        )
        url = f"http://127.0.0.1:{gateway}"
        return cls(directory, replicas, deployer, inference, management, f"127.0.0.1:{balancer}", url)

    @contextlib.contextmanager
    def running(self, haproxy: str) -> Iterator["RunningReplicas"]:
        """Starts everything; no version is deployed yet. haproxy: the program."""
        try:
            for replica in self.replicas:
                replica.start()
            self._start_haproxy(haproxy)
            gateway = [sys.executable, "app.py", *self.deployer.overrides]
            self.processes.append(Process(self.directory / "gateway.log", gateway))
            until(lambda: all(replica.answers() for replica in self.replicas))
            until(self._gateway_answers)
            yield self
        finally:
            self._stop()

    @property
    def haproxy_log(self) -> str:
        return (self.directory / "haproxy.log").read_text()

    def on_record(self) -> str:
        """The version that serves, as the record says."""
        record = json.loads((self.directory / "deployments" / "deployed.json").read_text())
        return str(record["models"]["genre"]["serving"]["version"])

    def serving(self) -> list[str | None]:
        """What each replica serves now."""
        return [replica.serves() for replica in self.replicas]

    def overview(self) -> subprocess.CompletedProcess[str]:
        """`make models`, as JSON."""
        return run("-m", "torchserve_gateway", "models", *self.deployer.overrides, "format=json")

    def _start_haproxy(self, program: str, *arguments: str) -> None:
        servers = self.directory / "servers.cfg"
        lines = [f"    server {host} {host}:{self.inference_port}\n" for host in HOSTS]
        servers.write_text("".join(["backend torchserve from replicas\n", *lines]))
        started = Process(
            self.directory / "haproxy.log",
            [program, "-f", "docker/haproxy.cfg", "-f", str(servers), *arguments],
            {"INFERENCE_BIND": self.balancer, "MANAGEMENT_PORT": str(self.management_port)},
        )
        self.processes.insert(0, started)

    def reload_haproxy(self) -> Process:
        """Starts another, which takes the place of the one that runs; returns that."""
        old = self.processes[0]
        self._start_haproxy(old.command[0], "-sf", str(old.pid))
        return old

    def _stop(self) -> None:
        processes = [*self.processes, *(replica.process for replica in self.replicas if replica.process)]
        for process in processes:
            process.terminate()
        for process in processes:
            process.until_gone()
        for replica in self.replicas:
            shutil.rmtree(replica.runtime_dir, ignore_errors=True)

    def _gateway_answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.gateway_url}/health/live").status_code == 200
        return False
