"""With TorchServe's token authorization on, gateway and deployer hold and renew the tokens by themselves."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.running_stack import RunningStack

# TorchServe takes fractions of a minute; the shortest life that a slow machine can still deploy in.
LIFE_MIN = "0.25"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    stack = RunningStack.configure(
        tmp_path_factory.mktemp("tokens"),
        "torchserve.token_authorization=true",
        f'+torchserve.properties.token_expiration_min="{LIFE_MIN}"',
        "model.workers=1",
    )
    up = stack.stack("up")
    assert up.returncode == 0, up.stderr
    stack.deploy("1.0")
    yield stack
    assert stack.stack("down").returncode == 0


def keys(stack: RunningStack) -> dict[str, dict[str, str]]:
    content: dict[str, dict[str, str]] = json.loads(stack.settings.torchserve.key_file.read_text())
    return content


def predict(stack: RunningStack, image: Path) -> httpx.Response:
    return httpx.put(
        f"{stack.settings.gateway.url}/predictions/genre", content=image.read_bytes(), timeout=60
    )


def test_torchserve_itself_refuses_who_has_no_token(stack: RunningStack, images: list[Path]) -> None:
    url = f"{stack.settings.torchserve.inference_url}/predictions/genre"
    response = httpx.put(url, content=images[0].read_bytes())
    assert response.status_code == 400
    assert response.json()["type"] == "InvalidKeyException"
    assert predict(stack, images[0]).status_code == 200


def test_a_token_that_somebody_else_renewed_is_read_again(stack: RunningStack, images: list[Path]) -> None:
    assert predict(stack, images[0]).status_code == 200
    headers = {"Authorization": f"Bearer {keys(stack)['API']['key']}"}
    url = f"{stack.settings.torchserve.management_url}/token"
    assert httpx.get(url, params={"type": "inference"}, headers=headers).status_code == 200
    assert predict(stack, images[0]).status_code == 200


def test_expired_tokens_are_renewed(stack: RunningStack, images: list[Path]) -> None:
    old = keys(stack)
    expiry = max(datetime.fromisoformat(old[api]["expiration time"]) for api in ("inference", "management"))
    time.sleep(max((expiry - datetime.now(UTC)).total_seconds(), 0) + 0.5)
    assert predict(stack, images[0]).status_code == 200
    result = stack.upload_model("1.0")
    assert result.returncode == 0, result.stderr
    assert keys(stack)["inference"]["key"] != old["inference"]["key"]
    assert keys(stack)["management"]["key"] != old["management"]["key"]


def test_without_the_key_file_the_message_says_so(stack: RunningStack, tmp_path: Path) -> None:
    result = stack.upload_model("1.0", f"torchserve.key_file={tmp_path}/nonesuch.json")
    assert result.returncode == 1
    assert f"no key file at {tmp_path}/nonesuch.json" in result.stderr
