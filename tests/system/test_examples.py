"""Every example through the gateway and a real TorchServe answers as its model does in this process."""

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from ts.torch_handler.image_classifier import ImageClassifier

from examples.densenet161.network import ImageClassifier as DenseNet161
from examples.digits.dataset import digits, png
from examples.digits.network import DigitNetwork
from examples.digits.train import inputs
from examples.imagenet import build as imagenet
from examples.iris.handler import FEATURES
from examples.resnet56.network import ResNet56
from tests.conftest import NewStack
from tests.http_client import HTTP
from tests.printed_output import assert_printed, table_of_readme
from tests.running_stack import RunningStack, run
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.project import ProjectSettings
from ts_serialize.image_input import decode_image
from ts_serialize.image_transform import image_transform

EXAMPLES = PROJECT_ROOT / "examples"
JSON = "application/json"


class Deployed:
    """The stack of all examples; each is deployed when a test asks for it."""

    def __init__(self, stack: RunningStack) -> None:
        self._stack = stack

    def deploy(self, model: str, *, weights: bool = False, build: str = "") -> None:
        """Deploys the model.

        weights: its own command makes them first; build: the same, into the folder of this setting.
        """
        overrides = [f"model={model}", *([build] if build else [])]
        if weights:
            overrides.append(f"model.weights.path={self.weights(model)}")
        if weights or build:
            made = run("-m", f"examples.{model}.build", *overrides)
            if "pip cannot fetch" in made.stderr:
                pytest.skip(made.stderr.strip())
            assert made.returncode == 0, made.stderr
        deployed = self._stack.upload_model("1.0", "archive_source=built", *overrides)
        assert deployed.returncode == 0, deployed.stderr

    def demo(self, model: str) -> str:
        """Prints of the demo's last step, for this model alone."""
        demo = run("-m", "torchserve_gateway", "demo", *self._stack.overrides, f"model={model}")
        assert demo.returncode == 0, demo.stderr
        return demo.stdout

    def weights(self, model: str) -> Path:
        """File of the weights that the model's own command makes."""
        return self._stack.directory / f"{model}.pt"

    def answers(
        self, model: str, bodies: list[bytes], content_type: str, path: str = "/predictions/{}"
    ) -> list[Any]:
        """Of requests that are sent at once, so that TorchServe batches them."""
        url = self._stack.settings.gateway.url + path.format(model)

        def answer(body: bytes) -> Any:
            response = HTTP.post(url, content=body, headers={"Content-Type": content_type})
            assert response.status_code == 200, response.text
            # Stock handlers name no type.
            is_json = response.headers.get("content-type", JSON).startswith(JSON)
            return response.json() if is_json else response.text

        with ThreadPoolExecutor(len(bodies)) as pool:
            return list(pool.map(answer, bodies))


@pytest.fixture(scope="module")
def deployed(new_stack: NewStack) -> Iterator[Deployed]:
    with new_stack("examples").running() as stack:
        yield Deployed(stack)


def test_digits(deployed: Deployed) -> None:
    deployed.deploy("digits")
    _, held_out = digits()
    network = DigitNetwork().eval()
    network.load_state_dict(torch.load(EXAMPLES / "digits/digits.pt", weights_only=True))
    expected = [str(int(digit)) for digit in network(inputs(held_out)[:12]).argmax(dim=1)]
    assert deployed.answers("digits", [png(each) for each in held_out.pictures[:12]], "image/png") == expected


def test_iris(deployed: Deployed) -> None:
    deployed.deploy("iris")
    rows = torch.rand(12, 4, generator=torch.Generator().manual_seed(0)) * 7 + 0.1
    network = torch.jit.load(EXAMPLES / "iris/iris.pt")  # type: ignore[no-untyped-call]
    expected = torch.softmax(network(rows), dim=1).tolist()
    flowers = [json.dumps(dict(zip(FEATURES, row, strict=True))).encode() for row in rows.tolist()]
    for answer, probabilities in zip(
        deployed.answers("iris", flowers, "application/json"), expected, strict=True
    ):
        assert list(answer["probabilities"].values()) == pytest.approx(probabilities, abs=1e-5)
        assert answer["probabilities"][answer["species"]] == max(answer["probabilities"].values())


@pytest.mark.long
def test_imagenet(deployed: Deployed) -> None:
    deployed.deploy("imagenet", weights=True)
    image = load("gateway", ProjectSettings, ["model=imagenet"]).model.preprocessing.model_dump()
    photographs = [file.read_bytes() for file in sorted((EXAMPLES / "imagenet/samples").iterdir())]
    batch = torch.stack([image_transform(image)(decode_image(each, 10**8, 256)) for each in photographs * 3])
    with imagenet.packages(), torch.inference_mode():
        values, indices = torch.softmax(imagenet.network()(batch), dim=1).topk(5)
        labels = imagenet.labels()
    answers = deployed.answers("imagenet", photographs * 3, "image/jpeg")
    for answer, probabilities, order in zip(answers, values.tolist(), indices.tolist(), strict=True):
        assert answer == pytest.approx(
            dict(zip([labels[each] for each in order], probabilities, strict=True)), abs=1e-5
        )
    assert [next(iter(each)) for each in answers[:3]] == ["Egyptian cat", "espresso", "missile"]
    assert_printed(deployed.demo("imagenet").split("\n\n")[0], table_of_readme("imagenet"))


@pytest.mark.long
def test_faces(deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package"
    deployed.deploy("faces", build=f"model.extra_files=[{package},{EXAMPLES}/faces/faces.json]")
    monkeypatch.syspath_prepend(package)
    mtcnn = import_module("facenet_pytorch.models.mtcnn").MTCNN
    coffee = (EXAMPLES / "imagenet/samples/coffee.jpg").read_bytes()
    bodies = [*(png(each) for each in astronauts()), coffee]
    found = [faces_of(mtcnn, decode_image(body, 10**8)) for body in bodies]
    assert [len(each) for each in found] == [1, 2, 0, 0]
    expected = [[pytest.approx(face, rel=1e-5) for face in each] for each in found]
    assert boxes(deployed.answers("faces", bodies, "image/jpeg")) == expected
    texts = [{"data": base64.b64encode(body).decode()} for body in bodies]
    requests = [json.dumps(text).encode() for text in texts]
    assert boxes(deployed.answers("faces", requests, "application/json")) == expected
    instances = json.dumps({"instances": texts}).encode()
    [kserve] = deployed.answers("faces", [instances], "application/json", "/v1/models/{}:predict")
    assert boxes(kserve["predictions"]) == expected


def boxes(answers: list[list[dict[str, Any]]]) -> list[list[dict[str, float]]]:
    """The numbers of each answer, all of faces."""
    assert {face.pop("class") for answer in answers for face in answer} == {"face"}
    return answers


def astronauts() -> list[Image.Image]:
    """The astronaut of the samples, twice at two sizes in an image, and where there is no face."""
    alone = Image.open(EXAMPLES / "faces/samples/astronaut.jpg")
    both = Image.new("RGB", (768, 512))
    both.paste(alone, (0, 0))
    both.paste(alone.resize((256, 256)), (512, 100))
    return [alone, both, alone.crop((0, 300, 512, 512))]


def faces_of(mtcnn: Any, image: Image.Image) -> list[dict[str, float]]:
    """What the package itself finds, the surest first."""
    settings = json.loads((EXAMPLES / "faces/faces.json").read_text())
    smallest = max(20, settings["smallest_face"] * min(image.size))
    detector = mtcnn(
        min_face_size=smallest, thresholds=[0.6, 0.7, settings["score_threshold"]], select_largest=False
    )
    found, scores = detector.detect(image)
    return [
        {"score": score, "x": box[0], "y": box[1], "width": box[2] - box[0], "height": box[3] - box[1]}
        for box, score in zip([] if found is None else found, scores, strict=False)
    ]


@pytest.mark.long
def test_resnet56(deployed: Deployed) -> None:
    deployed.deploy("resnet56", weights=True)
    model = load("gateway", ProjectSettings, ["model=resnet56"]).model
    network = ResNet56().eval()
    network.load_state_dict(torch.load(deployed.weights("resnet56"), weights_only=True))
    photographs = [file.read_bytes() for file in sorted((EXAMPLES / "imagenet/samples").iterdir())] * 4
    transform = image_transform(model.preprocessing.model_dump())
    batch = torch.stack([transform(decode_image(each, 10**8)) for each in photographs])
    with torch.inference_mode():
        expected = torch.softmax(network(batch), dim=1).tolist()
    for answer, probabilities in zip(
        deployed.answers("resnet56-random", photographs, "image/jpeg"), expected, strict=True
    ):
        assert answer == pytest.approx(dict(zip(model.labels, probabilities, strict=True)), abs=1e-5)


@pytest.mark.long
def test_densenet161(deployed: Deployed) -> None:
    deployed.deploy("densenet161", weights=True)
    labels = load("gateway", ProjectSettings, ["model=densenet161"]).model.labels
    network = DenseNet161().eval()
    network.load_state_dict(torch.load(deployed.weights("densenet161"), weights_only=True))
    photographs = [file.read_bytes() for file in sorted((EXAMPLES / "imagenet/samples").iterdir())]
    # As the stock handler prepares them.
    batch = torch.stack([ImageClassifier.image_processing(decode_image(each, 10**8)) for each in photographs])
    with torch.inference_mode():
        values, indices = torch.softmax(network(batch), dim=1).topk(5)
    answers = deployed.answers("densenet161-random", photographs, "image/jpeg")
    for answer, probabilities, order in zip(answers, values.tolist(), indices.tolist(), strict=True):
        expected = dict(zip([labels[each] for each in order], probabilities, strict=True))
        assert answer == pytest.approx(expected, abs=1e-5)
        assert all(name.startswith("random weights: ") for name in answer)
