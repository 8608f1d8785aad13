"""docs/migrating.md: a volume of KServe's TorchServe runtime and a ported LitAPI, served by one stack.

Long: a TorchServe and a gateway of their own, with a worker each.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from ts.torch_handler.request_envelope.kserve import KServeEnvelope
from ts.torch_handler.request_envelope.kservev2 import KServev2Envelope

from tests.free_ports import free_ports
from tests.handlers.brightness import BrightnessHandler
from tests.http_client import HTTP
from tests.migrating import asked, blocks, said
from torchserve_gateway.settings.composition import PROJECT_ROOT

pytestmark = pytest.mark.long

[IMPORT, KSERVE_CLIENTS] = blocks("From KServe's TorchServe runtime")
[SQUARE_YAML, DEPLOY, LITSERVE_CLIENT] = blocks("From LitServe")
[BEFORE, AFTER] = blocks("From LitServe", "handlers")
# As in KServe's documentation, where two APIs share an address.
CONFIG = """
inference_address=http://0.0.0.0:{inference}
management_address=http://0.0.0.0:{inference}
metrics_address=http://0.0.0.0:{metrics}
grpc_inference_port={grpc_inference}
grpc_management_port={grpc_management}
enable_metrics_api=true
metrics_format=prometheus
number_of_netty_threads=4
job_queue_size=100
enable_envvars_config=true
install_py_dep_per_model=true
service_envelope=kservev2
disable_token_authorization=true
NUM_WORKERS=1
model_store={volume}/model-store
model_snapshot={{"name":"startup.cfg","modelCount":1,"models":{{"digits":{{"1.0":{{"defaultVersion":true,\\
"marName":"digits.mar","minWorkers":1,"maxWorkers":5,"batchSize":4,"maxBatchDelay":50,"responseTimeout":120}}}}}}}}
"""


class Square(torch.nn.Module):
    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch * batch


@dataclass(frozen=True)
class Moved:
    """Both readers' folder, and the gateway that serves their models."""

    folder: Path
    own: tuple[str, ...]
    """Ports of this test."""
    gateway: str
    deploy: str
    """The line that `import-config` printed."""

    def asked(self, line: str) -> Any:
        return json.loads(asked(self.folder, line.replace("http://127.0.0.1:5003", self.gateway)))

    def sent(self, line: str) -> Any:
        """The body that a line with a pipe sends."""
        return json.loads(asked(self.folder, line.partition(" | curl")[0]))


def write_volume(folder: Path, ports: dict[str, int]) -> None:
    """`/mnt/models` of an InferenceService."""
    (folder / "config").mkdir()
    (folder / "model-store").mkdir()
    (folder / "config/config.properties").write_text(CONFIG.format(volume=folder, **ports))
    for name, grey in (("one", 10), ("two", 200)):
        Image.new("L", (28, 28), grey).save(folder / f"{name}.png")
    archiver = Path(sys.executable).with_name("torch-model-archiver")
    named = ("--model-name", "digits", "--version", "1.0", "--export-path", str(folder / "model-store"))
    handler = str(PROJECT_ROOT / "tests/handlers/brightness.py")
    subprocess.run([archiver, *named, "--handler", handler], check=True, capture_output=True)


def write_port(folder: Path) -> None:
    """The files of a reader who came from LitServe."""
    (folder / "config/model").mkdir(parents=True, exist_ok=True)
    (folder / "config/model/square.yaml").write_text(SQUARE_YAML)
    (folder / "square.py").write_text(AFTER)
    torch.jit.save(torch.jit.script(Square()), folder / "square.pt")


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    folder = tmp_path_factory.mktemp("moved")
    names = ("inference", "management", "metrics", "grpc_inference", "grpc_management", "gateway")
    ports = dict(zip(names, free_ports(6), strict=True))
    write_volume(folder, ports)
    write_port(folder)
    import_line, up, deploy = IMPORT.replace("/mnt/models", str(folder)).splitlines()
    # Both pages start the stack; square is the gateway's default model, as the second says.
    up_square = DEPLOY.splitlines()[0]
    assert up_square.split()[:2] == up.split()[:2]
    own = (
        f"torchserve.management_url=http://127.0.0.1:{ports['management']}",
        f"gateway.port={ports['gateway']}",
        "gateway.processes=1",
        "gateway.deployments_refresh_s=0.1",
    )
    printed = said(folder, import_line)
    assert deploy in printed.splitlines()
    said(folder, up, up_square.split()[2], *own)
    try:
        yield Moved(folder, own, f"http://127.0.0.1:{ports['gateway']}", deploy)
    finally:
        said(folder, "torchserve-gateway down torchserve=kserve", *own)


@pytest.fixture(scope="module")
def digits(moved: Moved) -> Moved:
    said(moved.folder, moved.deploy, *moved.own)
    return moved


def test_kserves_clients_get_the_answers_of_the_runtime(digits: Moved) -> None:
    v1, v2 = KSERVE_CLIENTS.splitlines()
    assert digits.asked(v1) == enveloped(KServeEnvelope, digits.sent(v1)) == {"predictions": [10, 200]}
    ours, theirs = digits.asked(v2), enveloped(KServev2Envelope, digits.sent(v2))
    named = ("id", "model_name", "model_version")
    assert [ours[key] for key in named] == [theirs[key] for key in named] == ["7", "digits", "1.0"]
    [output], [their_output] = ours["outputs"], theirs["outputs"]
    assert (output["name"], output["datatype"]) == ("output", "BYTES")
    assert (their_output["name"], their_output["datatype"]) == ("input-0", "INT64")
    assert [json.loads(each) for each in output["data"]] == their_output["data"] == [10]


def enveloped(envelope: Any, request: Any) -> Any:
    """The answer of KServe's runtime: TorchServe's envelope around the same handler."""
    manifest = {"model": {"modelName": "digits", "modelVersion": "1.0"}}
    context = SimpleNamespace(manifest=manifest, get_request_header=lambda *_: None)
    [answer] = envelope(BrightnessHandler().handle).handle([{"body": request}], context)
    return answer


def test_tensors_of_numbers_are_refused(digits: Moved) -> None:
    tensor = {"name": "input-0", "datatype": "INT64", "shape": [2], "data": [1, 2]}
    refused = HTTP.post(f"{digits.gateway}/v2/models/digits/infer", json={"inputs": [tensor]})
    assert (refused.status_code, "BYTES" in refused.text) == (400, True)


def test_a_litapi_answers_as_before_from_a_worker(moved: Moved, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy = DEPLOY.splitlines()[1]
    said(moved.folder, deploy, "torchserve=kserve", "model.workers=1", *moved.own)
    monkeypatch.chdir(moved.folder)
    requests = [{"input": number} for number in (4, -1.5, 0)]
    assert moved.asked(LITSERVE_CLIENT) == {"output": 16}
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = pool.map(lambda each: HTTP.post(f"{moved.gateway}/predict", json=each).json(), requests)
    assert list(answers) == [before(request) for request in requests]
    [described] = HTTP.get(f"{moved.gateway}/models/square").json()
    assert [described[key] for key in ("batch_size", "max_batch_delay")] == [8, 20]
    # An instance that is no image reaches the handler as JSON.
    v1 = HTTP.post(f"{moved.gateway}/v1/models/square:predict", json={"instances": requests}).json()
    assert v1 == {"predictions": [before(request) for request in requests]}


def before(request: dict[str, float]) -> dict[str, float]:
    """The answer of the page's LitAPI, called as LitServe calls it."""
    namespace: dict[str, Any] = {"ls": SimpleNamespace(LitAPI=object), "torch": torch}
    exec(BEFORE, namespace)
    api = namespace["SquareAPI"]()
    api.setup("cpu")
    answer: dict[str, float] = api.encode_response(api.predict(api.decode_request(request)))
    return answer
