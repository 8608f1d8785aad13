"""The rows of the table: how each server is started and asked."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tools.bench.peers import environments, requests
from tools.bench.peers.load import Answer, Load
from tools.bench.peers.process_tree import server
from tools.bench.peers.workload import IMAGES, Workload
from torchserve_gateway.local_stack.free_ports import free_ports

MODEL = "genre"
SERVERS = "tools.bench.peers.servers"


@dataclass
class Contender:
    """A running server under test."""

    name: str
    load: Load
    pids: tuple[int, ...]
    """Roots of its process trees."""
    is_peer: bool
    difference: float = 0.0
    """Largest difference of a probability from the checkpoint in this process."""
    warm_up: int = 0
    """Answers of the warm-up."""
    rates: list[float] = field(default_factory=list)
    """Images a second, by round."""
    cpu_ms: list[float] = field(default_factory=list)
    """CPU milliseconds of an image, by round."""
    client_shares: list[float] = field(default_factory=list)
    """Share of the client in all cores, by round."""
    others_shares: list[float] = field(default_factory=list)
    """Share of all other programs in all cores, by round."""


def contender(
    name: str,
    workload: Workload,
    port: int,
    pids: tuple[int, ...],
    encode: Callable[[Path], bytes],
    read: Callable[[bytes], Answer] = requests.plain,
    *,
    is_peer: bool = True,
) -> Contender:
    """A row whose answers are compared with the checkpoint's."""
    load = Load(port, [encode(image) for image in IMAGES], workload.expected, read, workload.tolerance)
    return Contender(name, load, pids, is_peer)


@dataclass(frozen=True)
class Peer:
    """A peer with an environment and a server of its own."""

    title: str
    package: str
    command: Callable[[int, Path, Workload], Sequence[str]]
    """Program and arguments for a port, with an empty folder."""
    ready_path: str
    encode: Callable[[Path], bytes]
    read: Callable[[bytes], Answer] = requests.plain
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, cleanup: ExitStack, workload: Workload, folder: Path, title: str = "") -> Contender:
        """Starts it and returns when it answers.

        Raises:
            NotInstalledError: pip fails.
            NotStartedError: it does not answer.
        """
        environments.provide(self.package)
        [port] = free_ports(1)
        folder.mkdir()
        command = self.command(port, folder, workload)
        places = {"BENTOML_HOME": str(folder), "MLSERVER_METRICS_DIR": str(folder)}
        environment = {**workload.environment, **places, **self.environment}
        process = cleanup.enter_context(
            server(command, f"http://127.0.0.1:{port}{self.ready_path}", environment)
        )
        return contender(title or self.title, workload, port, (process.pid,), self.encode, self.read)


def _litserve(port: int, folder: Path, workload: Workload) -> Sequence[str]:  # noqa: ARG001
    return (environments.program("litserve", "python"), "-m", f"{SERVERS}.litserve_server", str(port))


def _bentoml(port: int, folder: Path, workload: Workload) -> Sequence[str]:  # noqa: ARG001
    program = environments.program("bentoml", "bentoml")
    return (program, "serve", f"{SERVERS}.bentoml_service:Genre", "--host", "127.0.0.1", "--port", str(port))


def _ray(port: int, folder: Path, workload: Workload) -> Sequence[str]:  # noqa: ARG001
    return (environments.program("ray", "python"), "-m", f"{SERVERS}.ray_application", str(port), str(folder))


def _mlserver(port: int, folder: Path, workload: Workload) -> Sequence[str]:
    mine = workload.settings
    grpc, metrics = free_ports(2)
    ports = {"http_port": port, "grpc_port": grpc, "metrics_port": metrics}
    settings = {"host": "127.0.0.1", "parallel_workers": mine["workers"], "debug": False, **ports}
    (folder / "settings.json").write_text(json.dumps(settings))
    batching = {"max_batch_size": mine["batch_size"], "max_batch_time": mine["max_batch_delay"] / 1000}
    model = {"name": MODEL, "implementation": f"{SERVERS}.mlserver_runtime.Runtime", **batching}
    (folder / "model-settings.json").write_text(json.dumps(model))
    return (environments.program("mlserver", "mlserver"), "start", str(folder))


PEERS = (
    Peer("LitServe", "litserve", _litserve, "/health", partial(requests.form, "/predict", "file")),
    Peer(
        "MLServer",
        "mlserver",
        _mlserver,
        f"/v2/models/{MODEL}/ready",
        partial(requests.open_inference, f"/v2/models/{MODEL}/infer"),
        requests.from_open_inference,
    ),
    Peer(
        "BentoML",
        "bentoml",
        _bentoml,
        "/readyz",
        partial(requests.form, "/predict", "files"),
        requests.only,
        {"BENTOML_DO_NOT_TRACK": "True"},
    ),
    Peer(
        "Ray Serve",
        "ray",
        _ray,
        "/",
        partial(requests.raw, "/"),
        # Its token would be a file in the home folder.
        environment={"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"},
    ),
)


def small_proxy(
    cleanup: ExitStack, workload: Workload, torchserve_url: str, torchserve_pid: int
) -> Contender:
    """Starts 20 lines of FastAPI and httpx before TorchServe; raises as `Peer.start`."""
    [port] = free_ports(1)
    command = (sys.executable, "-m", "uvicorn", "--no-access-log", "--port", str(port))
    process = cleanup.enter_context(
        server(
            (*command, "tools.bench.gateway_cost.small_proxy:app"),
            f"http://127.0.0.1:{port}/openapi.json",
            {"TORCHSERVE": torchserve_url},
        )
    )
    encode = partial(requests.form, "/predict", "file")
    return contender("20-line proxy + TorchServe", workload, port, (process.pid, torchserve_pid), encode)
