"""Archives of any model, built from configuration, on the real stack: TorchServe's own handler, and JSON."""

import json
from pathlib import Path

import httpx
import pytest
import torch
from PIL import Image
from torch import nn
from ts.torch_handler.image_classifier import ImageClassifier

from tests.http_client import HTTP
from tests.running_stack import RunningStack

BARE = ("model.labels=null", "model.image=null", "model.weights=null", "model.samples=[]")
NETWORK = """
import torch
from torch import nn
from means import means


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.classes = nn.Linear(3, 6)

    def forward(self, images):
        return self.classes(means(images))
"""
HANDLER = """
import json
from pathlib import Path

MODEL = {}


def handle(data, context):
    if data is None:
        folder = Path(context.system_properties["model_dir"])
        MODEL.update(json.loads((folder / "prices.json").read_text()), **context.model_yaml_config)
        return None
    rows = [row.get("data") or row.get("body") for row in data]
    return [{"price": MODEL[row["fruit"]] * row["kilos"], "currency": MODEL["currency"]} for row in rows]
"""


def deploy(stack: RunningStack, model: str, *overrides: str) -> str:
    """Builds and deploys a version; returns what the command logged."""
    version = stack.fresh_version()
    name = f"model.name={model}"
    result = stack.upload_model(version, "archive_source=built", name, *BARE, *overrides)
    assert result.returncode == 0, result.stderr
    assert stack.versions(model) == [version]
    return result.stderr


def predict(stack: RunningStack, model: str, content: bytes, media_type: str) -> httpx.Response:
    url = f"{stack.settings.gateway.url}/predictions/{model}"
    return HTTP.post(url, content=content, headers={"Content-Type": media_type}, timeout=60)


def test_the_stock_classifier_answers_as_the_same_network_in_process(
    stack: RunningStack, images: list[Path], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    classes = nn.Linear(3, 6)
    torch.save({"classes.weight": classes.weight, "classes.bias": classes.bias}, tmp_path / "tiny.pth")
    names = {str(index): [f"n{index}", name] for index, name in enumerate("ABCDEF")}
    (tmp_path / "index_to_name.json").write_text(json.dumps(names))
    (tmp_path / "tiny.py").write_text(NETWORK)
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "means.py").write_text("def means(images):\n    return images.mean((2, 3))\n")
    deploy(
        stack,
        "stock",
        "model.handler=image_classifier",
        f"model.model_file={tmp_path}/tiny.py",
        f"model.weights={{path: {tmp_path}/tiny.pth}}",
        f"model.extra_files=[{tmp_path}/beside]",
        f"model.labels={tmp_path}/index_to_name.json",
    )
    for image in images[:3]:
        answer = predict(stack, "stock", image.read_bytes(), "image/jpeg").json()
        with Image.open(image) as opened, torch.inference_mode():
            pixels = ImageClassifier.image_processing(opened.convert("RGB"))
            wanted = torch.softmax(classes(pixels.mean((1, 2))), dim=0)
        top = {"ABCDEF"[index]: wanted[index].item() for index in wanted.topk(5).indices.tolist()}
        assert list(answer) == list(top)
        assert answer == pytest.approx(top, abs=1e-5)


def test_a_handler_answers_json_with_its_own_files_and_configuration(
    stack: RunningStack, tmp_path: Path
) -> None:
    (tmp_path / "fruit.py").write_text(HANDLER)
    (tmp_path / "prices.json").write_text('{"apple": 2.5}')
    (tmp_path / "currency.yaml").write_text("currency: EUR\nresponseTimeout: 40\n")
    (tmp_path / "needs.txt").write_text("nonesuch-package==1.0\n")
    logged = deploy(
        stack,
        "fruit",
        f"model.handler={tmp_path}/fruit.py",
        f"model.extra_files=[{tmp_path}/prices.json]",
        f"model.model_config_file={tmp_path}/currency.yaml",
        f"model.requirements={tmp_path}/needs.txt",
    )
    assert "response_timeout is 40, not 30" in logged
    assert "has needs.txt, and torchserve.properties.install_py_dep_per_model is not true" in logged
    answer = predict(stack, "fruit", b'{"fruit": "apple", "kilos": 2}', "application/json")
    assert (answer.status_code, answer.json()) == (200, {"price": 5.0, "currency": "EUR"})
    # The gateway has no file of this model: KServe's instances pass as they are.
    url, fruit = f"{stack.settings.gateway.url}/v1/models/fruit:predict", {"fruit": "apple", "kilos": 3}
    instances = HTTP.post(url, json={"instances": [fruit]}, timeout=60)
    assert instances.json() == {"predictions": [{"price": 7.5, "currency": "EUR"}]}
