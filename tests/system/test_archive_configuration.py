"""An archive with model-config.yaml on the real TorchServe: what runs is recorded, restarts included."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.archives import MANIFEST, manifest_of
from tests.http_client import HTTP, answers
from tests.processes import until
from tests.running_stack import RunningStack
from torchserve_gateway.record.record import DeployedVersion

CONFIG = "minWorkers: 1\nmaxWorkers: 1\nbatchSize: 1\nmaxBatchDelay: 500\nresponseTimeout: 25\n"


def described(stack: RunningStack) -> dict[str, Any]:
    answer = HTTP.get(f"{stack.settings.torchserve.management_url}/models/genre").json()[0]
    keys = ("minWorkers", "batchSize", "maxBatchDelay", "responseTimeout", "startupTimeout")
    return {key: answer[key] for key in keys}


def recorded(stack: RunningStack) -> DeployedVersion:
    record = json.loads((stack.directory / "deployments" / "deployed.json").read_text())
    return DeployedVersion.model_validate(record["models"]["genre"]["serving"])


@pytest.mark.parametrize(
    ("config", "workers", "response_timeout"),
    [(CONFIG, 1, 25), ("minWorkers: 2\nmaxWorkers: 3\n", 2, 120), ("x: 1\n", 1, 120)],
)
def test_what_runs_is_recorded_and_deploys_again(
    stack: RunningStack, config: str, workers: int, response_timeout: int
) -> None:
    version = stack.fresh_version()
    manifest = manifest_of(stack.archive(version))
    manifest["model"]["configFile"] = "model-config.yaml"
    stack.add_archive(
        version, files={MANIFEST: json.dumps(manifest).encode(), "model-config.yaml": config.encode()}
    )
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
    if config == "x: 1\n":
        os.kill(stack.pid("torchserve"), signal.SIGKILL)
        until(lambda: answers(f"{stack.settings.gateway.url}/health/ready"))
        assert described(stack) == runs


def test_a_version_that_was_registered_by_hand_outlives_a_failed_deploy(stack: RunningStack) -> None:
    settings = stack.settings
    version = stack.fresh_version()
    added = stack.add_archive(version)
    archive = Path(str(settings.torchserve.model_store)) / added.name
    archive.write_bytes(added.read_bytes())
    management = settings.torchserve.management_url
    url = f"{management}/models?url={archive.name}&model_name=genre&initial_workers=1&synchronous=true"
    assert HTTP.post(url, timeout=120).status_code == 200
    try:
        result = stack.upload_model(version, "model.samples.0.expected_class=Comedy")
        assert result.returncode == 1
        assert f"has genre {version} already, from genre-{version}.mar with 1 workers READY" in result.stderr
        image = next(Path("imgs").glob("horror.jpg")).read_bytes()
        answer = HTTP.put(f"{settings.torchserve.inference_url}/predictions/genre/{version}", content=image)
        assert answer.status_code == 200
        assert archive.exists()
    finally:
        HTTP.delete(f"{management}/models/genre/{version}")
        archive.unlink()
