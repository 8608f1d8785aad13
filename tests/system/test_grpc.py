"""TorchServe's gRPC APIs through our stubs, on the real server."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.running_stack import RunningStack, handler, run
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError, RefusedError, RequestRefusedError
from torchserve_gateway.torchserve_api.grpc.client import GrpcClient
from torchserve_gateway.torchserve_api.tokens import Tokens
from torchserve_gateway.torchserve_api.transport import new_client

GIVE_UP_S = 90


def command(stack: RunningStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`make grpc`."""
    return run("-m", "torchserve_gateway", "grpc", *arguments, *stack.overrides)


@pytest.fixture(scope="module")
def archive(stack: RunningStack) -> str:
    """An archive of a model of our own in the model store."""
    return stage(stack)


def stage(stack: RunningStack) -> str:
    built = stack.generate_mar("1.0", "model.name=grpc_demo")
    assert built.returncode == 0, built.stderr
    name = "grpc_demo-1.0.mar"
    store = stack.directory / "model_store"
    store.mkdir(exist_ok=True)
    shutil.copyfile(stack.directory / "model_mars" / name, store / name)
    return name


@pytest.fixture(scope="module")
def registered(stack: RunningStack, archive: str) -> Iterator[str]:
    """The model, registered and READY by the command."""
    result = command(stack, "register", archive, "--model-name", "grpc_demo")
    assert result.returncode == 0, result.stderr
    until_ready(stack)
    yield "grpc_demo"
    gone = command(stack, "unregister", "grpc_demo", "1.0")
    assert gone.returncode == 0, gone.stderr
    assert "unregistered" in gone.stdout
    (stack.directory / "model_store" / archive).unlink()


def until_ready(stack: RunningStack) -> None:
    give_up = time.monotonic() + GIVE_UP_S
    while command(stack, "infer", "grpc_demo", "imgs/horror.jpg").returncode:
        assert time.monotonic() < give_up
        time.sleep(0.5)


def test_an_image_gets_the_same_answer_as_over_rest(
    stack: RunningStack, registered: str, images: list[Path]
) -> None:
    for image in images[:3]:
        rest = httpx.put(f"{stack.settings.gateway.url}/predictions/genre", content=image.read_bytes())
        for extra in ([], ["--version", "1.0"], ["--stream"]):
            result = command(stack, "infer", registered, str(image), *extra)
            assert result.returncode == 0, result.stderr
            assert json.loads(result.stdout) == pytest.approx(rest.json(), abs=1e-4)


def test_ping_says_healthy(stack: RunningStack) -> None:
    assert json.loads(command(stack, "ping").stdout)["status"] == "Healthy"


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
        (["ping", "torchserve.grpc_inference_port=1"], "TorchServe over gRPC"),
    ],
)
def test_what_fails_is_one_line(
    stack: RunningStack, registered: str, arguments: list[str], said: str
) -> None:
    result = command(stack, *arguments)
    if arguments[0] == "ping":
        result = run("-m", "torchserve_gateway", "grpc", *arguments)
    assert result.returncode == 1
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
def test_wrong_usage_is_exit_code_2(arguments: list[str], said: str) -> None:
    result = run("-m", "torchserve_gateway", "grpc", *arguments)
    assert result.returncode == 2
    assert said in result.stderr


async def test_the_whole_management_api(stack: RunningStack, registered: str, archive: str) -> None:
    settings = stack.settings.torchserve
    async with new_client(settings) as http:
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


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A TorchServe that wants tokens, which expire within seconds."""
    stack = RunningStack.configure(
        tmp_path_factory.mktemp("grpc"),
        "torchserve.token_authorization=true",
        '+torchserve.properties.token_expiration_min="0.25"',
        "model.workers=1",
    )
    assert stack.stack("up").returncode == 0
    yield stack
    assert stack.stack("down").returncode == 0


def test_tokens_are_sent_and_renewed_when_they_have_expired(guarded: RunningStack) -> None:
    archive = stage(guarded)
    result = command(guarded, "register", archive, "--model-name", "grpc_demo")
    assert result.returncode == 0, result.stderr
    until_ready(guarded)
    # Longer than a token lives.
    time.sleep(16)
    result = command(guarded, "infer", "grpc_demo", "imgs/horror.jpg")
    assert result.returncode == 0, result.stderr
    assert command(guarded, "unregister", "grpc_demo").returncode == 0


def test_without_the_key_file_the_message_says_so(guarded: RunningStack, tmp_path: Path) -> None:
    nowhere = f"torchserve.key_file={tmp_path}/nonesuch.json"
    result = command(guarded, "ping", nowhere)
    assert result.returncode in (0, 1)
    overrides = (*guarded.overrides, nowhere)
    result = run("-m", "torchserve_gateway", "grpc", "unregister", "grpc_demo", *overrides)
    assert result.returncode == 1
    assert "no key file at" in result.stderr


def test_an_answer_in_parts_arrives_in_parts(stack: RunningStack) -> None:
    built = stack.generate_mar("2.0", "model.name=grpc_parts", *handler("streaming"))
    assert built.returncode == 0, built.stderr
    archive = stack.directory / "model_store" / "grpc_parts-2.0.mar"
    shutil.copyfile(stack.directory / "model_mars" / archive.name, archive)
    result = command(stack, "register", archive.name, "--model-name", "grpc_parts")
    assert result.returncode == 0, result.stderr
    give_up = time.monotonic() + GIVE_UP_S
    while (answer := command(stack, "infer", "grpc_parts", "imgs/horror.jpg", "--stream")).returncode:
        assert time.monotonic() < give_up, answer.stderr
        time.sleep(0.5)
    assert answer.stdout.strip() == "one two three"
    assert command(stack, "unregister", "grpc_parts", "2.0").returncode == 0
    archive.unlink()
