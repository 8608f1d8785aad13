"""An archive on OpenVINO is built, deployed and served by the real, stock TorchServe."""

import importlib.util
import json
from pathlib import Path

import pytest

from tests.conftest import NewStack
from tests.http_client import HTTP

PRECISION = "fp32"
ON_OPENVINO = ("model.engine=openvino", f"model.precision={PRECISION}")


@pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="openvino is not installed; make install_engines"
)
def test_torchserve_serves_an_archive_on_openvino(new_stack: NewStack, images: list[Path]) -> None:
    stack = new_stack("engines")
    with stack.running("1.0"):
        url = f"{stack.settings.gateway.url}/predictions/genre"
        original = [HTTP.post(url, content=image.read_bytes()).json() for image in images]
        built = stack.generate_mar("2.0", *ON_OPENVINO)
        assert built.returncode == 0, built.stderr
        assert "same class on top: 100.0% of 13 images" in built.stderr
        assert built.stdout == f"{stack.directory}/model_mars/genre-2.0.mar\n"
        deployed = stack.upload_model("2.0")
        assert deployed.returncode == 0, deployed.stderr
        for image, expected in zip(images, original, strict=True):
            answer = HTTP.post(url, content=image.read_bytes())
            assert answer.headers["X-Model-Version"] == "2.0"
            assert answer.json() == pytest.approx(expected, abs=1e-4)
        explained = HTTP.post(url.replace("predictions", "explanations"), content=images[0].read_bytes())
        assert explained.json()["class"] == next(iter(original[0]))
        rows = {row["version"]: row for row in json.loads(stack.overview("format=json").stdout)}
        assert rows["2.0"]["engine"]["engine"] == "openvino"
        assert rows["2.0"]["engine"]["gate"]["images"] == 13
        assert rows["1.0"]["engine"] == {"engine": "torchscript", "precision": "fp32", "gate": None}
        assert f"openvino {PRECISION}, 100.0% of 13 alike" in " ".join(stack.overview().stdout.split())
