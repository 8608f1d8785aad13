"""With TorchServe's token authorization on, commands and gateway hold and renew the tokens by themselves."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.conftest import NewStack
from tests.http_client import HTTP
from tests.processes import until
from tests.running_stack import RunningStack
from torchserve_gateway.record.record import DeploymentRecord

# TorchServe takes fractions of a minute; the shortest life that a slow machine can still deploy in.
LIFE_MIN = "0.25"


@pytest.fixture(scope="module")
def stack(new_stack: NewStack) -> Iterator[RunningStack]:
    life = f'+torchserve.properties.token_expiration_min="{LIFE_MIN}"'
    with new_stack("tokens", "torchserve.token_authorization=true", life).running("1.0") as stack:
        yield stack


def keys(stack: RunningStack) -> dict[str, dict[str, str]]:
    content: dict[str, dict[str, str]] = json.loads(stack.settings.torchserve.key_file.read_text())
    return content


def until_expired(stack: RunningStack) -> dict[str, dict[str, str]]:
    """Returns the keys when both tokens have expired."""
    found = keys(stack)
    expiry = max(datetime.fromisoformat(found[api]["expiration time"]) for api in ("inference", "management"))
    until(lambda: datetime.now(UTC) > expiry)
    return found


def predict(stack: RunningStack, image: Path) -> httpx.Response:
    return HTTP.put(f"{stack.settings.gateway.url}/predictions/genre", content=image.read_bytes(), timeout=60)


def in_store(stack: RunningStack, model: str) -> str:
    archive = stack.add_archive("1.0", model=model)
    shutil.copy(archive, stack.directory / "model_store")
    return archive.name


def succeeded(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_torchserve_itself_refuses_who_has_no_token(stack: RunningStack, images: list[Path]) -> None:
    url = f"{stack.settings.torchserve.inference_url}/predictions/genre"
    response = HTTP.put(url, content=images[0].read_bytes())
    assert response.status_code == 400
    assert response.json()["type"] == "InvalidKeyException"
    assert predict(stack, images[0]).status_code == 200


def test_a_token_that_somebody_else_renewed_is_read_again(stack: RunningStack, images: list[Path]) -> None:
    assert predict(stack, images[0]).status_code == 200
    headers = {"Authorization": f"Bearer {keys(stack)['API']['key']}"}
    url = f"{stack.settings.torchserve.management_url}/token"
    assert HTTP.get(url, params={"type": "inference"}, headers=headers).status_code == 200
    assert predict(stack, images[0]).status_code == 200


def test_expired_tokens_are_renewed(stack: RunningStack, images: list[Path]) -> None:
    old = until_expired(stack)
    assert predict(stack, images[0]).status_code == 200
    succeeded(stack.upload_model("1.0"))
    assert keys(stack)["inference"]["key"] != old["inference"]["key"]
    assert keys(stack)["management"]["key"] != old["management"]["key"]


@pytest.mark.long
def test_expired_tokens_are_renewed_over_grpc(stack: RunningStack) -> None:
    archive = in_store(stack, "grpc_demo")
    until_expired(stack)
    succeeded(stack.grpc("register", archive, "--model-name", "grpc_demo"))
    # The workers start after the answer.
    until(lambda: stack.grpc("infer", "grpc_demo", "imgs/horror.jpg").returncode == 0)
    until_expired(stack)
    succeeded(stack.grpc("infer", "grpc_demo", "imgs/horror.jpg"))
    succeeded(stack.grpc("unregister", "grpc_demo"))


def test_the_management_commands_work_and_name_what_is_wrong_with_the_tokens(stack: RunningStack) -> None:
    options = ("--model-name", "managed", "--initial-workers", "1", "--wait", "60")
    succeeded(stack.manage("register", in_store(stack, "managed"), *options))
    succeeded(stack.manage("scale", "managed", "--min-worker", "0"))
    succeeded(stack.manage("unregister", "managed"))
    listed = json.loads(succeeded(stack.manage("list", "--json")))
    assert "managed" not in [model["modelName"] for model in listed["models"]]
    wrong = {api: {**key, "key": "wrong"} for api, key in keys(stack).items()}
    key_file = stack.directory / "wrong.json"
    elsewhere = replace(stack, overrides=(*stack.overrides, f"torchserve.key_file={key_file}"))
    missing = elsewhere.manage("list")
    assert (missing.returncode, f"wants a token; no key file at {key_file}" in missing.stderr) == (1, True)
    key_file.write_text(json.dumps(wrong))
    refused = elsewhere.manage("list")
    assert refused.returncode == 1
    assert f"no new management token; is {key_file} its key file?" in refused.stderr


def test_what_a_deploy_recorded_is_what_adopting_finds(stack: RunningStack, tmp_path: Path) -> None:
    assert "genre 1.0: on record already" in succeeded(stack.adopt())
    # The tokens are enough, without a record of ours.
    said = succeeded(stack.adopt(f"torchserve.deployments_dir={tmp_path}"))
    assert "genre 1.0: on record now, " in said
    records = tmp_path, stack.settings.torchserve.deployments_dir
    found, own = (DeploymentRecord(each).read().models["genre"].serving for each in records)
    assert found.parameters() == own.parameters()
    assert (found.sha256, found.takes_images, found.adopted) == (own.sha256, True, True)


def test_without_the_key_file_a_deploy_says_so(stack: RunningStack, tmp_path: Path) -> None:
    result = stack.upload_model("1.0", f"torchserve.key_file={tmp_path}/nonesuch.json")
    assert result.returncode == 1
    assert f"no key file at {tmp_path}/nonesuch.json" in result.stderr


def test_without_the_key_file_grpc_says_so(stack: RunningStack, tmp_path: Path) -> None:
    nowhere = replace(stack, overrides=(*stack.overrides, f"torchserve.key_file={tmp_path}/nonesuch.json"))
    for call in (["ping"], ["unregister", "grpc_demo"]):
        result = nowhere.grpc(*call)
        assert result.returncode == 1
        assert "TorchServe wants a token; no key file at" in result.stderr
