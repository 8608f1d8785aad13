"""Archives of any model, built from configuration, on the real stack: TorchServe's own handler, and JSON."""

import io
import json
from pathlib import Path

import httpx
import pytest
import torch
from PIL import Image
from torch import nn
from ts.torch_handler.image_classifier import ImageClassifier
from ts.torch_handler.image_segmenter import ImageSegmenter
from ts.torch_handler.object_detector import ObjectDetector
from ts.torch_handler.vision_handler import VisionHandler

from tests.http_client import HTTP
from tests.running_stack import RunningStack
from torchserve_gateway.deployment.answers.json_differences import find_difference

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


DETECTOR = """
import torch
from torch import nn


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.share = nn.Parameter(torch.tensor(0.7))

    def forward(self, images):
        height, width = images.shape[2:]
        box = [0.0, 0.0, width * self.share, height * self.share]
        scores = [torch.stack([image.mean(), image.mean() / 10]) for image in images]
        boxes, labels = torch.tensor([box, box]), torch.tensor([1, 0])
        return [{"boxes": boxes, "labels": labels, "scores": each} for each in scores]
"""
SEGMENTER = """
import torch
from torch import nn


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.classes = nn.Conv2d(3, 2, 1)

    def forward(self, images):
        return {"out": self.classes(images)}
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("stock", "source"), [(ObjectDetector, DETECTOR), (ImageSegmenter, SEGMENTER)], ids=["boxes", "segments"]
)
def test_other_stock_handlers_answer_as_in_process(
    stack: RunningStack, tmp_path: Path, stock: type[VisionHandler], source: str
) -> None:
    torch.manual_seed(0)
    defined: dict[str, type[nn.Module]] = {}
    exec(source, defined)
    network, names = defined["Tiny"](), {"0": "cat", "1": "dog"}
    torch.save(network.state_dict(), tmp_path / "tiny.pth")
    (tmp_path / "index_to_name.json").write_text(json.dumps(names))
    (tmp_path / "tiny.py").write_text(source)
    name = stock.__module__.rpartition(".")[2]
    deploy(
        stack,
        name,
        f"model.handler={name}",
        f"model.model_file={tmp_path}/tiny.py",
        f"model.weights={{path: {tmp_path}/tiny.pth}}",
        f"model.labels={tmp_path}/index_to_name.json",
        "model.workers=1",
    )
    handler = stock()
    handler.mapping = names
    for grey in (250, 180, 10):
        image, file = Image.new("RGB", (300, 200), (grey, grey, 200)), io.BytesIO()
        image.save(file, "PNG")
        answer = predict(stack, name, file.getvalue(), "image/png").json()
        with torch.inference_mode():
            [wanted] = handler.postprocess(network(handler.image_processing(image)[None]))
        assert find_difference(wanted, answer, 1e-5) is None
