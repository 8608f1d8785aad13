"""Wheels in an empty environment: the stack from an empty folder, and the client."""

import json
import re
from pathlib import Path

import httpx
import pytest
import torch

from tests.free_ports import free_ports
from tests.installed import Environment, copy_of_checkout, copy_of_client, with_wheel
from tests.running_stack import RunningStack
from tests.shown_blocks import assert_same_words, shown_block
from torchserve_gateway.settings.composition import PROJECT_ROOT

MODULES = (
    "import json, torchserve_gateway, ts_serialize, sys; "
    "print(json.dumps([torchserve_gateway.__file__, ts_serialize.__file__, *sys.path]))"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the project's wheel."""
    directory = tmp_path_factory.mktemp("installed")
    return with_wheel(copy_of_checkout(directory / "source"), directory)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    path = tmp_path / "folder"
    path.mkdir()
    return path


def own_ports() -> list[str]:
    keys = (
        *("torchserve.inference_url", "torchserve.management_url", "torchserve.metrics_url"),
        *("torchserve.grpc_inference_port", "torchserve.grpc_management_port", "gateway.port"),
    )
    ports = free_ports(len(keys))
    prefixes = ["http://127.0.0.1:" if key.endswith("_url") else "" for key in keys]
    return [f"{key}={prefix}{port}" for key, prefix, port in zip(keys, prefixes, ports, strict=True)]


def packaged_files(environment: Environment) -> dict[str, int]:
    """Paths and times of our files there."""
    folders = ("torchserve_gateway", "ts_serialize")
    files = (file for each in folders for file in (environment.site_packages / each).rglob("*"))
    return {str(file): file.stat().st_mtime_ns for file in files if "__pycache__" not in file.parts}


def test_nothing_of_the_checkout_is_imported(installed: Environment, folder: Path) -> None:
    paths = [Path(each) for each in json.loads(installed.run(folder, "python", "-c", MODULES).stdout)]
    assert all(each.is_relative_to(installed.site_packages) for each in paths[:2])
    assert all(not each.is_relative_to(PROJECT_ROOT) or ".venv" in each.parts for each in paths)


def test_the_files_of_the_web_page_are_installed(installed: Environment) -> None:
    folder = Path("torchserve_gateway/gateway/page/static")
    there = {file.name for file in (installed.site_packages / folder).iterdir()}
    assert there == {file.name for file in (PROJECT_ROOT / folder).iterdir()}


def test_a_model_of_the_users_own_is_served_from_an_empty_folder(
    installed: Environment, folder: Path, images: list[Path]
) -> None:
    (folder / "config" / "model").mkdir(parents=True)
    (folder / "config" / "model" / "poster.yaml").write_text("defaults: [genre, _self_]\nname: poster\n")
    settings, before = [*own_ports(), "model=poster"], packaged_files(installed)
    try:
        for command in ("up", "deploy"):
            done = installed.run(folder, "torchserve-gateway", command, *settings, "model.workers=1")
            assert done.returncode == 0, done.stdout + done.stderr
        poster = next(image for image in images if image.stem == "horror").read_bytes()
        port = settings[5].removeprefix("gateway.port=")
        answer = httpx.post(f"http://127.0.0.1:{port}/predict", files={"file": poster}, timeout=60)
        assert next(iter(answer.json())) == "Horror"
    finally:
        down = installed.run(folder, "torchserve-gateway", "down", *settings)
    assert down.returncode == 0, down.stderr
    assert (folder / "model_mars" / "poster-1.0.mar").is_file()
    assert (folder / "var" / "model_store" / "poster-1.0.mar").is_file()
    assert {each.name for each in folder.iterdir()} == {"config", "model_mars", "var"}
    assert packaged_files(installed) == before


class Pets(torch.nn.Module):
    """Three logits an image, the first the largest."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3)) / 100 - torch.arange(3)


def served(environment: Environment, folder: Path, settings: list[str]) -> tuple[str, httpx.Response]:
    """What `torchserve-gateway serve` prints, then an answer from the URL in it."""
    quick = ("model.workers=1", "settle_s=0.2")
    done = environment.run(
        folder, "torchserve-gateway", "serve", "pets.pt", "--labels", "labels.txt", *settings, *quick
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [url] = re.findall(r"^(http://\S+/predictions/pets) answers after", done.stdout, re.MULTILINE)
    answer = httpx.post(url, content=(PROJECT_ROOT / "imgs" / "horror.jpg").read_bytes(), timeout=60)
    assert answer.status_code == 200, answer.text
    return done.stdout, answer


def test_a_models_file_is_served_by_one_command_and_a_new_one_is_its_next_version(
    installed: Environment, folder: Path
) -> None:
    network = torch.jit.trace(Pets().eval(), torch.zeros(1, 3, 224, 224))  # type: ignore[no-untyped-call]
    torch.jit.save(network, folder / "pets.pt")
    (folder / "labels.txt").write_text("bird\ncat\ndog\n")
    settings = own_ports()
    try:
        printed, first = served(installed, folder, settings)
        assert_same_words(printed, shown_block("docs/own-model.md", "pets.pt: TorchScript, traced"))
        assert list(first.json()) == ["bird", "cat", "dog"]
        (folder / "labels.txt").write_text("hawk\nlynx\nwolf\n")
        _, second = served(installed, folder, settings)
    finally:
        down = installed.run(folder, "torchserve-gateway", "down", *settings)
    assert down.returncode == 0, down.stderr
    assert list(second.json()) == ["hawk", "lynx", "wolf"]
    assert [each.headers["X-Model-Version"] for each in (first, second)] == ["1.0", "2.0"]


def test_the_client_predicts_from_an_environment_of_its_own(
    stack: RunningStack, tmp_path: Path, images: list[Path]
) -> None:
    environment = with_wheel(copy_of_client(tmp_path / "source"), tmp_path)
    poster = next(image for image in images if image.stem == "horror")
    code = (
        "import sys, pathlib, gateway_client\n"
        "with gateway_client.GatewayClient(sys.argv[1]) as client:\n"
        "    print(gateway_client.__file__, client.predict(pathlib.Path(sys.argv[2])).top)\n"
    )
    done = environment.run(tmp_path, "python", "-c", code, stack.settings.gateway.url, str(poster))
    assert done.returncode == 0, done.stderr
    module, top = done.stdout.split()
    assert Path(module).is_relative_to(environment.site_packages)
    assert top == "Horror"
