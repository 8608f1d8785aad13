"""TorchServe's gRPC APIs through our stubs, on the real server."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import Result

from tests.commands import command
from tests.http_client import HTTP
from tests.processes import until
from tests.running_stack import RunningStack
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError, RefusedError, RequestRefusedError
from torchserve_gateway.torchserve_api.grpc.client import GrpcClient
from torchserve_gateway.torchserve_api.http_pool import PooledTransport
from torchserve_gateway.torchserve_api.tokens import Tokens


def grpc(stack: RunningStack, *arguments: str) -> Result:
    """`make grpc`; tests/system/test_tokens.py has processes of their own."""
    return command("grpc", *arguments, *stack.overrides)


@pytest.fixture(scope="module")
def archive(stack: RunningStack) -> str:
    """An archive of a model of our own in the model store."""
    return stage(stack, "1.0", "grpc_demo")


def stage(stack: RunningStack, version: str, model: str, handler: str | None = None) -> str:
    archive = stack.add_archive(version, model, handler)
    shutil.copyfile(archive, stack.directory / "model_store" / archive.name)
    return archive.name


@pytest.fixture(scope="module")
def registered(stack: RunningStack, archive: str) -> Iterator[str]:
    """The model, registered and READY by the command."""
    result = grpc(stack, "register", archive, "--model-name", "grpc_demo")
    assert result.exit_code == 0, result.stderr
    until_ready(stack, "grpc_demo")
    yield "grpc_demo"
    gone = grpc(stack, "unregister", "grpc_demo", "1.0")
    assert gone.exit_code == 0, gone.stderr
    assert "unregistered" in gone.stdout
    (stack.directory / "model_store" / archive).unlink()


def until_ready(stack: RunningStack, model: str) -> None:
    """Returns when a worker of the model is READY."""
    url = f"{stack.settings.torchserve.management_url}/models/{model}"
    until(lambda: "READY" in [worker["status"] for worker in HTTP.get(url).json()[0]["workers"]])


def test_an_image_gets_the_same_answer_as_over_rest(
    stack: RunningStack, registered: str, images: list[Path]
) -> None:
    for image, extra in zip(images, ([], ["--version", "1.0"], ["--stream"]), strict=False):
        rest = HTTP.put(f"{stack.settings.gateway.url}/predictions/genre", content=image.read_bytes())
        result = grpc(stack, "infer", registered, str(image), *extra)
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout) == pytest.approx(rest.json(), abs=1e-4)


def test_ping_says_healthy(stack: RunningStack) -> None:
    assert json.loads(grpc(stack, "ping").stdout)["status"] == "Healthy"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["infer", "grpc_demo", "Makefile"], "are not an image"),
        (["infer", "grpc_demo", "nonesuch.jpg"], "the image cannot be read"),
        (["infer", "nonesuch", "imgs/horror.jpg"], "Model not found: nonesuch"),
        (["infer", "grpc_demo", "imgs/horror.jpg", "--version", "9"], "does not exist"),
        (["infer", "grpc_demo", "imgs/horror.jpg", "--timeout", "0.001"], "within 0.001 s"),
        (["register", "nonesuch.mar", "--model-name", "other"], "nonesuch.mar"),
        (["unregister", "nonesuch"], "nonesuch"),
    ],
)
def test_what_fails_is_one_line(
    stack: RunningStack, registered: str, arguments: list[str], said: str
) -> None:
    assert_one_line(grpc(stack, *arguments), said)


def test_a_torchserve_that_is_not_there_is_one_line(stack: RunningStack) -> None:
    nowhere = replace(stack, overrides=(*stack.overrides, "torchserve.grpc_inference_port=1"))
    assert_one_line(grpc(nowhere, "ping"), "TorchServe over gRPC")


def assert_one_line(result: Result, said: str) -> None:
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("failed: ")
    assert said in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["register", "x.mar", "--model-name", "../x"], "'../x' is not of letters"),
        (["infer", "genre"], "Missing argument"),
        (["ping", "torchserve.grpc_inference_port=0"], "configuration error"),
    ],
)
def test_wrong_usage_is_exit_code_2(stack: RunningStack, arguments: list[str], said: str) -> None:
    result = grpc(replace(stack, overrides=()), *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


async def test_the_whole_management_api(stack: RunningStack, registered: str, archive: str) -> None:
    settings = stack.settings.torchserve
    async with PooledTransport() as http:
        tokens = Tokens(settings.key_file, settings.management_url, http)
        async with GrpcClient(settings, tokens) as client:
            [described] = await client.describe(registered, None, 10)
            assert (described["modelVersion"], described["minWorkers"]) == ("1.0", 1)
            listed = await client.list_models(100, 0, 10)
            assert {each["modelName"] for each in listed["models"]} >= {"genre", registered}
            assert "Processing" in await client.scale(registered, "1.0", 2, 10)
            [described] = await client.describe(registered, "1.0", 10)
            assert described["minWorkers"] == 2
            assert "1.0" in await client.set_default(registered, "1.0", 10)
            with pytest.raises(RefusedError, match="without a reason"):
                await client.register(registered, archive, 60, initial_workers=1)
            with pytest.raises(ModelNotFoundError):
                await client.set_default(registered, "9.9", 10)
            with pytest.raises(RequestRefusedError, match="not an image"):
                _ = [part async for part in client.stream_predictions(registered, None, b"x" * 100, 10)]


def test_an_answer_in_parts_arrives_in_parts(stack: RunningStack) -> None:
    archive = stage(stack, "2.0", "grpc_parts", handler="streaming")
    result = grpc(stack, "register", archive, "--model-name", "grpc_parts")
    assert result.exit_code == 0, result.stderr
    until_ready(stack, "grpc_parts")
    answer = grpc(stack, "infer", "grpc_parts", "imgs/horror.jpg", "--stream")
    assert answer.stdout.strip() == "one two three"
    assert grpc(stack, "unregister", "grpc_parts", "2.0").exit_code == 0
    (stack.directory / "model_store" / archive).unlink()
