"""Every example through the gateway and a real TorchServe answers as its model does in this process."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from examples.digits.dataset import digits, png
from examples.digits.network import DigitNetwork
from examples.digits.train import inputs
from examples.iris.handler import FEATURES
from tests.conftest import NewStack
from tests.http_client import HTTP
from tests.running_stack import RunningStack, run
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.project import ProjectSettings
from ts_serialize.image_input import decode_image, image_transform

EXAMPLES = PROJECT_ROOT / "examples"


class Deployed:
    """The stack of all examples; each is deployed when a test asks for it."""

    def __init__(self, stack: RunningStack) -> None:
        self._stack = stack

    def deploy(self, model: str, *, weights: bool = False) -> None:
        """Deploys the model; weights: its own command makes them first."""
        overrides = [f"model={model}"]
        if weights:
            overrides.append(f"model.weights.path={self._stack.directory}/{model}.pt")
            made = run("-m", f"examples.{model}.build", *overrides)
            assert made.returncode == 0, made.stderr
        built = self._stack.generate_mar("1.0", *overrides)
        assert built.returncode == 0, built.stderr
        deployed = self._stack.upload_model("1.0", *overrides)
        assert deployed.returncode == 0, deployed.stderr

    def answers(self, model: str, bodies: list[bytes], content_type: str) -> list[Any]:
        """Of requests that are sent at once, so that TorchServe batches them."""
        url = f"{self._stack.settings.gateway.url}/predictions/{model}"

        def answer(body: bytes) -> Any:
            response = HTTP.post(url, content=body, headers={"Content-Type": content_type})
            assert response.status_code == 200, response.text
            is_json = response.headers["content-type"].startswith("application/json")
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
    build = pytest.importorskip(
        "examples.imagenet.build", reason="requirements-examples.txt is not installed", exc_type=ImportError
    )
    deployed.deploy("imagenet", weights=True)
    image = load("gateway", ProjectSettings, ["model=imagenet"]).model.preprocessing.model_dump()
    photographs = [file.read_bytes() for file in sorted((EXAMPLES / "imagenet/samples").iterdir())]
    batch = torch.stack([image_transform(image)(decode_image(each, 10**8, 256)) for each in photographs * 3])
    with torch.inference_mode():
        values, indices = torch.softmax(build.network()(batch), dim=1).topk(5)
    answers = deployed.answers("imagenet", photographs * 3, "image/jpeg")
    for answer, probabilities, order in zip(answers, values.tolist(), indices.tolist(), strict=True):
        assert answer == pytest.approx(
            dict(zip([build.labels()[each] for each in order], probabilities, strict=True)), abs=1e-5
        )
    assert [next(iter(each)) for each in answers[:3]] == ["Egyptian cat", "espresso", "missile"]
