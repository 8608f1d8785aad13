"""Archives on other engines are built, deployed and served by the real, stock TorchServe."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import NewStack
from tests.exported_checkpoint import export_checkpoint
from tests.http_client import HTTP
from tests.running_stack import RunningStack
from tests.shown_blocks import assert_same_words, shown_block
from torchserve_gateway.settings.composition import as_override

ON_OPENVINO = ("model.engine=openvino", "model.precision=fp32")


@pytest.fixture(scope="module")
def engines(new_stack: NewStack) -> Iterator[RunningStack]:
    """Serves the checkpoint as it is, version 1.0, before the tests."""
    with new_stack("engines").running("1.0") as stack:
        [row] = json.loads(stack.overview("format=json").stdout)
        assert row["engine"] == {"engine": "torchscript", "precision": "fp32", "gate": None}
        yield stack


def serves_as_the_original(stack: RunningStack, images: list[Path], version: str, *overrides: str) -> str:
    """Builds and deploys a version on another engine, compares its answers; returns what the build logged."""
    url = f"{stack.settings.gateway.url}/predictions/genre"
    original = [HTTP.post(url, content=image.read_bytes()).json() for image in images]
    built = stack.generate_mar(version, *overrides)
    assert built.returncode == 0, built.stderr
    assert built.stdout == f"{stack.directory}/model_mars/genre-{version}.mar\n"
    deployed = stack.upload_model(version)
    assert deployed.returncode == 0, deployed.stderr
    for image, expected in zip(images, original, strict=True):
        answer = HTTP.post(url, content=image.read_bytes())
        assert answer.headers["X-Model-Version"] == version
        assert answer.json() == pytest.approx(expected, abs=1e-4)
    explained = HTTP.post(url.replace("predictions", "explanations"), content=images[0].read_bytes())
    assert explained.json()["class"] == next(iter(original[0]))
    return built.stderr


@pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="openvino is not installed; make install_engines"
)
def test_torchserve_serves_an_archive_on_openvino(engines: RunningStack, images: list[Path]) -> None:
    logged = serves_as_the_original(engines, images, "2.0", *ON_OPENVINO)
    # Which images differ most is another matter.
    head, columns, _, _, *totals = shown_block(
        "docs/engines.md", "$ make generate_mar VERSION=2.0 "
    ).splitlines()
    page = "\n".join(["...", head, columns, *totals[:-1]]).replace("int8", "fp32")
    assert_same_words(logged.replace(f"{engines.directory}/", ""), page)
    rows = {row["version"]: row for row in json.loads(engines.overview("format=json").stdout)}
    assert rows["2.0"]["engine"]["engine"] == "openvino"
    assert rows["2.0"]["engine"]["gate"]["images"] == 13
    assert "openvino fp32, 100.0% of 13 alike" in " ".join(engines.overview().stdout.split())


def test_torchserve_serves_a_program_of_torch_export(
    engines: RunningStack, images: list[Path], tmp_path: Path
) -> None:
    weights = as_override("model.weights.path", export_checkpoint(tmp_path / "genre.pt2"))
    serves_as_the_original(engines, images, "3.0", "model.engine=torch_export", weights)
