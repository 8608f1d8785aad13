"""What was stopped comes back with what is deployed, without anyone's help."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import NewStack
from tests.http_client import HTTP
from tests.processes import until
from tests.running_stack import RunningStack


@pytest.fixture(scope="module")
def stack(new_stack: NewStack) -> Iterator[RunningStack]:
    """A stack of its own, which is stopped and started."""
    with new_stack("recovery").running("1.5") as stack:
        yield stack


def until_answered(stack: RunningStack, image: bytes) -> httpx.Response:
    """The first right answer; until then callers are told, and are not left waiting."""
    answers: list[httpx.Response] = []

    def answered() -> bool:
        try:
            response = HTTP.put(f"{stack.settings.gateway.url}/predictions/genre", content=image, timeout=30)
        except httpx.TransportError:
            return False
        assert response.status_code in (200, 502, 503, 504), response.text
        answers.append(response)
        return response.status_code == 200

    until(answered)
    return answers[-1]


def test_a_stack_that_was_stopped_comes_up_with_what_was_deployed(
    stack: RunningStack, images: list[Path]
) -> None:
    assert stack.stack("down").returncode == 0
    assert stack.stack("up").returncode == 0
    # The first request: up has waited for the workers.
    assert HTTP.get(f"{stack.settings.gateway.url}/health/ready").status_code == 200
    assert until_answered(stack, images[0].read_bytes()).headers["x-model-version"] == "1.5"


def test_an_archive_that_is_gone_keeps_nobody_else_from_starting(
    stack: RunningStack, images: list[Path]
) -> None:
    (archive,) = (stack.directory / "model_store").glob("*.mar")
    archive.rename(stack.directory / archive.name)
    assert stack.stack("down").returncode == 0
    assert stack.stack("up").returncode == 0
    ready = HTTP.get(f"{stack.settings.gateway.url}/health/ready")
    assert ready.status_code == 503
    assert "Model not found: genre" in ready.json()["detail"]
    assert f"{archive} is gone" in (stack.directory / "var" / "log" / "torchserve.log").read_text()
    (stack.directory / archive.name).rename(archive)
    stack.deploy("1.5")
    assert until_answered(stack, images[0].read_bytes()).headers["x-model-version"] == "1.5"
