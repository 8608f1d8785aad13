"""Tutorial 3 of docs/tutorials.md: DenseNet-161 with the stock archiver, gRPC, the whole Management API."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from tests.running_stack import run
from tests.tutorials.conftest import in_foreground
from tests.tutorials.stock_torchserve import Shell
from torchserve_gateway.settings.composition import PROJECT_ROOT

pytestmark = pytest.mark.long

EXAMPLE = PROJECT_ROOT / "examples/densenet161"
CAT = PROJECT_ROOT / "examples/imagenet/samples/chelsea.jpg"
ARCHIVER = (
    "torch-model-archiver --model-name densenet161 --version {} --model-file model.py "
    "--serialized-file weights.pth --extra-files index_to_name.json --handler image_classifier "
    "--export-path {}"
)
START = (
    "exec torchserve --start --ncs --model-store model_store --models densenet161.mar --foreground "
    f"--ts-config config.properties --log-config {PROJECT_ROOT}/config/torchserve/log4j2-console.xml"
)


def test_densenet_is_packed_served_and_managed(tmp_path: Path) -> None:
    built = run(
        "-m", "examples.densenet161.build", "model=densenet161", f"model.weights.path={tmp_path}/weights.pth"
    )
    assert built.returncode == 0, built.stderr
    shutil.copy(EXAMPLE / "network.py", tmp_path / "model.py")
    shutil.copy(EXAMPLE / "random_index_to_name.json", tmp_path / "index_to_name.json")
    (tmp_path / "model_store").mkdir()
    shell = Shell(tmp_path)
    shell.configure(more="default_workers_per_model=1\n")
    shell.run(ARCHIVER.format("1.0", "model_store"))
    with in_foreground(shell.command(START), tmp_path, shell.environment, f"{shell.management}/models"):
        shell.wait_for("densenet161", shell.management)
        answer = json.loads(shell.run(f"curl -sf {shell.inference}/predictions/densenet161 -T {CAT}"))
        assert len(answer) == 5
        assert all(name.startswith("random weights: ") for name in answer)
        check_grpc(shell, answer)
        shell.run(ARCHIVER.format("2.0", "."))
        (tmp_path / "densenet161.mar").rename(tmp_path / "model_store/second.mar")
        check_management(shell)


def ours(shell: Shell, command: str) -> str:
    """A command of ours on that TorchServe, as `make manage` and `make grpc` run it."""
    settings = [
        *(f"torchserve.inference_url={shell.inference}", f"torchserve.management_url={shell.management}"),
        *(
            f"torchserve.grpc_inference_port={shell.ports[3]}",
            f"torchserve.grpc_management_port={shell.ports[4]}",
        ),
    ]
    done = run("-m", "torchserve_gateway", *shlex.split(command), *settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_grpc(shell: Shell, answer: dict[str, float]) -> None:
    """The registration over gRPC is asynchronous and starts no worker, so the model that serves is asked."""
    assert json.loads(ours(shell, f"grpc infer densenet161 {CAT}")) == pytest.approx(answer, abs=1e-5)
    ours(shell, "grpc register densenet161.mar --model-name copy")
    ours(shell, "grpc unregister copy")


def check_management(shell: Shell) -> None:
    """Every call of the API, with its parameters."""
    batching = (
        "--batch-size 4 --max-batch-delay 50 --initial-workers 1 --response-timeout 60 --runtime python"
    )
    ours(shell, f"manage register second.mar --model-name densenet161 {batching} --wait 120")
    ours(shell, "manage scale densenet161 1.0 --min-worker 0 --number-gpu 0 --timeout 10")
    described = json.loads(ours(shell, "manage describe densenet161 --all --json"))["versions"]
    found = {each["modelVersion"]: (each["batchSize"], each["minWorkers"]) for each in described}
    assert found == {"1.0": (1, 0), "2.0": (4, 1)}
    ours(shell, "manage register second.mar --model-name another")
    page = json.loads(ours(shell, "manage list --limit 1 --json"))
    assert [each["modelName"] for each in page["models"]] == ["another"]
    rest = json.loads(ours(shell, f"manage list --limit 1 --page {page['nextPageToken']} --json"))
    assert [each["modelName"] for each in rest["models"]] == ["densenet161"]
    ours(shell, "manage set-default densenet161 2.0")
    ours(shell, "manage unregister densenet161 1.0")
    left = json.loads(ours(shell, "manage describe densenet161 --all --json"))["versions"]
    assert [each["modelVersion"] for each in left] == ["2.0"]
