"""An archive with model-config.yaml on the real TorchServe: what runs is recorded, restarts included."""

import json
import os
import signal
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import until
from tests.running_stack import RunningStack
from torchserve_gateway.record.record import DeployedVersion

CONFIG = "minWorkers: 1\nmaxWorkers: 1\nbatchSize: 1\nmaxBatchDelay: 500\nresponseTimeout: 25\n"


def pack(stack: RunningStack, version: str, config: str) -> None:
    """Builds an archive and puts model-config.yaml into it."""
    built = stack.generate_mar(version)
    assert built.returncode == 0, built.stderr
    archive = stack.directory / "model_mars" / f"genre-{version}.mar"
    with zipfile.ZipFile(archive) as source:
        files = {name: source.read(name) for name in source.namelist()}
    manifest = json.loads(files["MAR-INF/MANIFEST.json"])
    manifest["model"]["configFile"] = "model-config.yaml"
    files |= {"MAR-INF/MANIFEST.json": json.dumps(manifest).encode(), "model-config.yaml": config.encode()}
    with zipfile.ZipFile(archive, "w") as target:
        for name, content in files.items():
            target.writestr(name, content)


def described(stack: RunningStack) -> dict[str, Any]:
    answer = httpx.get(f"{stack.settings.torchserve.management_url}/models/genre").json()[0]
    keys = ("minWorkers", "batchSize", "maxBatchDelay", "responseTimeout", "startupTimeout")
    return {key: answer[key] for key in keys}


def recorded(stack: RunningStack) -> DeployedVersion:
    record = json.loads((stack.directory / "deployments" / "deployed.json").read_text())
    return DeployedVersion.model_validate(record["models"]["genre"]["serving"])


@pytest.mark.parametrize(
    ("version", "config", "workers", "response_timeout"),
    [("6.0", CONFIG, 1, 25), ("6.1", "minWorkers: 2\nmaxWorkers: 3\n", 2, 120), ("6.2", "x: 1\n", 1, 120)],
)
def test_what_runs_is_recorded_and_deploys_again(
    stack: RunningStack, version: str, config: str, workers: int, response_timeout: int
) -> None:
    pack(stack, version, config)
    asked = f"request_params.initial_workers={2 if workers == 1 and 'min' in config else 1}"
    result = stack.upload_model(version, asked)
    assert result.returncode == 0, result.stderr
    assert f"response_timeout is {response_timeout}, not 30" in result.stderr
    assert "runs otherwise" not in result.stderr
    runs = {
        "minWorkers": workers,
        "batchSize": 8,
        "maxBatchDelay": 20,
        "responseTimeout": response_timeout,
        "startupTimeout": 120,
    }
    assert described(stack) == runs
    serving = recorded(stack)
    assert (serving.initial_workers, serving.response_timeout) == (workers, response_timeout)
    again = stack.upload_model(version, asked)
    assert again.returncode == 0, again.stderr
    if version == "6.2":
        os.kill(stack.pid("torchserve"), signal.SIGKILL)
        until(lambda: answers(stack))
        assert described(stack) == runs


def answers(stack: RunningStack) -> bool:
    try:
        return httpx.get(f"{stack.settings.gateway.url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_a_version_that_was_registered_by_hand_outlives_a_failed_deploy(stack: RunningStack) -> None:
    settings = stack.settings
    assert stack.generate_mar("6.5").returncode == 0
    store = Path(str(settings.torchserve.model_store))
    archive = store / "genre-6.5.mar"
    archive.write_bytes((stack.directory / "model_mars" / archive.name).read_bytes())
    management = settings.torchserve.management_url
    url = f"{management}/models?url={archive.name}&model_name=genre&initial_workers=1&synchronous=true"
    assert httpx.post(url, timeout=120).status_code == 200
    try:
        result = stack.upload_model("6.5", "model.samples.0.expected_class=Comedy")
        assert result.returncode == 1
        assert "has genre 6.5 already, from genre-6.5.mar with 1 workers READY" in result.stderr
        image = next(Path("imgs").glob("horror.jpg")).read_bytes()
        answer = httpx.put(f"{settings.torchserve.inference_url}/predictions/genre/6.5", content=image)
        assert answer.status_code == 200
        assert archive.exists()
    finally:
        httpx.delete(f"{management}/models/genre/6.5")
        archive.unlink()
