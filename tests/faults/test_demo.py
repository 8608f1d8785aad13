"""`torchserve-gateway demo` before a TorchServe whose answers the tests choose."""

import httpx
import pytest
from typer.testing import Result

from tests.commands import command
from tests.fake_torchserve import FakeTorchServe, error
from tests.served_gateway import served_gateway

CLASSES = {"Crime": 0.1, "Horror": 0.8, "Drama": 0.1}


def demo(torchserve: FakeTorchServe, models: str, *options: str) -> Result:
    with served_gateway(torchserve, models) as server:
        return command("demo", f"gateway.port={server.config.port}", models, *options)


def answer(request: httpx.Request) -> httpx.Response:
    """Of a TorchServe with genre, digits and iris."""
    if "digits" in request.url.path:
        return httpx.Response(200, text="3")
    if "iris" in request.url.path:
        return httpx.Response(200, json={"species": "setosa", "probabilities": {"setosa": 0.99}})
    if "faces" in request.url.path:
        return error(404, "ModelNotFoundException", "Model not found: faces")
    return httpx.Response(200, json=CLASSES)


@pytest.mark.slow
def test_each_model_gets_its_own_samples_and_a_missing_one_is_said() -> None:
    result = demo(FakeTorchServe(answer), "gateway.models=[genre,digits,iris,faces]")
    assert result.exit_code == 0, result.stderr
    # The gateway runs in this process, and logs to the same output.
    printed = "\n".join(line for line in result.stdout.splitlines() if not line.startswith("20"))
    genre, digits, iris, missing, urls = printed.split("\n\n")
    assert genre.splitlines()[1].split() == ["action.jpg", "Horror", "0.800", "Crime", "0.100"]
    assert [line.split() for line in digits.splitlines()] == [
        ["image", "digits"],
        ["3.png", "3"],
        ["7.png", "3"],
    ]
    first = [line.split(maxsplit=1)[0] for line in iris.splitlines()]
    assert first == ["input", "setosa.json", "virginica.json"]
    assert '{"species":"setosa","pr' in iris
    assert missing == "faces is not deployed; make demo tries again"
    lines = [line for line in urls.splitlines() if "curl" in line]
    assert [line.split()[-1].rpartition("/")[2] for line in lines] == ["genre", "digits", "iris"]


def test_the_chosen_model_must_answer() -> None:
    result = demo(FakeTorchServe(answer), "model=faces")
    assert result.exit_code == 1
    assert "astronaut.jpg: " in result.stderr
    assert "Model not found: faces" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["examples/imagenet/samples", "imgs"])
def test_images_of_another_folder_are_for_the_chosen_model(folder: str) -> None:
    result = demo(FakeTorchServe(answer), "gateway.models=[genre,digits]", f"images_dir={folder}")
    assert result.exit_code == 0, result.stderr
    assert ("chelsea.jpg" in result.stdout) is ("imagenet" in folder)
    assert "7.png" in result.stdout


def test_a_folder_without_images_is_said() -> None:
    result = demo(FakeTorchServe(answer), "model=genre", "images_dir=docker")
    assert result.exit_code == 1
    assert "docker holds no " in result.stderr
