"""What was stopped comes back with what is deployed, without anyone's help."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.running_stack import RunningStack

GIVE_UP_S = 90


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack of its own: the others' requests must not be among those that a kill fails."""
    stack = RunningStack.configure(tmp_path_factory.mktemp("recovery"), "model.workers=1")
    assert stack.stack("up").returncode == 0
    stack.deploy("1.5")
    yield stack
    assert stack.stack("down").returncode == 0


def until_answered(stack: RunningStack, image: bytes) -> httpx.Response:
    give_up = time.monotonic() + GIVE_UP_S
    while True:
        try:
            response = httpx.put(f"{stack.settings.gateway.url}/predictions/genre", content=image, timeout=30)
            # While nobody answers, callers are told so and are not left waiting.
            assert response.status_code in (200, 502, 503, 504), response.text
            if response.status_code == 200:
                return response
        except httpx.TransportError:
            pass
        assert time.monotonic() < give_up
        time.sleep(0.2)


def test_a_stack_that_was_stopped_comes_up_with_what_was_deployed(
    stack: RunningStack, images: list[Path]
) -> None:
    assert stack.stack("down").returncode == 0
    assert stack.stack("up").returncode == 0
    assert until_answered(stack, images[0].read_bytes()).headers["x-model-version"] == "1.5"


def test_an_archive_that_is_gone_keeps_nobody_else_from_starting(
    stack: RunningStack, images: list[Path]
) -> None:
    (archive,) = (stack.directory / "model_store").glob("*.mar")
    archive.rename(stack.directory / archive.name)
    assert stack.stack("down").returncode == 0
    assert stack.stack("up").returncode == 0
    ready = httpx.get(f"{stack.settings.gateway.url}/health/ready")
    assert ready.status_code == 503
    assert "Model not found: genre" in ready.json()["detail"]
    assert f"{archive} is gone" in (stack.directory / "var" / "log" / "torchserve.log").read_text()
    (stack.directory / archive.name).rename(archive)
    stack.deploy("1.5")
    assert until_answered(stack, images[0].read_bytes()).headers["x-model-version"] == "1.5"
