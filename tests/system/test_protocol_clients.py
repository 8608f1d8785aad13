"""Clients that others wrote for KServe's protocols get what /predict answers, each image its own."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.encoded_images import SMALL
from tests.http_client import HTTP
from tests.running_stack import RunningStack
from torchserve_gateway.load_test.clients import same_answer
from torchserve_gateway.settings.composition import PROJECT_ROOT

TOLERANCE = 1e-4
TOP_3 = [triton.InferRequestedOutput("probabilities", class_count=3)]
Answer = dict[str, float]


@pytest.fixture(scope="module")
def gateway(stack: RunningStack) -> str:
    return stack.settings.gateway.url


@pytest.fixture(scope="module")
def version(gateway: str, images: list[Path]) -> str:
    """That serves by now."""
    sent = HTTP.post(f"{gateway}/predictions/genre", content=images[0].read_bytes())
    return str(sent.headers["x-model-version"])


@pytest.fixture(scope="module")
def alone(gateway: str, images: list[Path]) -> list[Answer]:
    """What each image's answer is by /predict."""
    files = [{"file": (image.name, image.read_bytes())} for image in images]
    answers = [HTTP.post(f"{gateway}/predict", files=file).raise_for_status().json() for file in files]
    # Else a swap would not be seen.
    assert not any(same_answer(one, two, TOLERANCE) for i, one in enumerate(answers) for two in answers[:i])
    return answers


@pytest.fixture
def client(gateway: str) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(gateway.removeprefix("http://"))
    yield client
    client.close()


def assert_same(answers: list[Answer], expected: list[Answer]) -> None:
    for answer, wanted in zip(answers, expected, strict=True):
        assert same_answer(answer, wanted, TOLERANCE)
        assert next(iter(answer)) == next(iter(wanted))


def image_input(elements: list[bytes], shape: list[int], *, binary: bool = True) -> triton.InferInput:
    tensor = np.array(elements, dtype=np.object_).reshape(shape)
    return triton.InferInput("image", shape, "BYTES").set_data_from_numpy(tensor, binary_data=binary)


def answers_of(result: triton.InferResult) -> list[Answer]:
    rows = zip(result.as_numpy("classes"), result.as_numpy("probabilities"), strict=True)
    # As text from JSON, as bytes from binary data.
    return [
        {
            label.decode() if isinstance(label, bytes) else label: float(value)
            for label, value in zip(*row, strict=True)
        }
        for row in rows
    ]


def test_tritonclient_sends_and_gets_binary_tensors(
    client: triton.InferenceServerClient, images: list[Path], alone: list[Answer]
) -> None:
    contents = [image.read_bytes() for image in images]
    for shape in ([len(images)], [len(images), 1]):
        result = client.infer("genre", [image_input(contents, shape)], request_id="seven")
        assert_same(answers_of(result), alone)
        assert result.get_response()["id"] == "seven"
        assert result.get_output("probabilities")["shape"] == [len(images), len(alone[0])]


def test_tritonclient_sends_and_gets_json(
    client: triton.InferenceServerClient, images: list[Path], alone: list[Answer], version: str
) -> None:
    encoded = [base64.b64encode(image.read_bytes()) for image in images]
    outputs = [triton.InferRequestedOutput(name, binary_data=False) for name in ("classes", "probabilities")]
    inputs = [image_input(encoded, [len(images)], binary=False)]
    assert_same(answers_of(client.infer("genre", inputs, outputs=outputs)), alone)
    one = client.infer("genre", inputs, version, outputs=outputs[1:])
    assert one.as_numpy("classes") is None
    assert one.as_numpy("probabilities")[:, 0] == pytest.approx(
        [max(each.values()) for each in alone], abs=TOLERANCE
    )


def test_tritonclient_learns_what_is_served(client: triton.InferenceServerClient, version: str) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("genre")
    assert client.is_model_ready("genre", version)
    assert not client.is_model_ready("genre", "9.9")
    assert not client.is_model_ready("nonesuch")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = client.get_model_metadata("genre", version)
    assert version in metadata["versions"]
    assert [each["datatype"] for each in metadata["inputs"] + metadata["outputs"]] == [
        "BYTES",
        "BYTES",
        "FP32",
    ]


@pytest.mark.parametrize(
    ("model", "elements", "arguments", "status", "said"),
    [
        ("genre", [b"no image"], {}, "415", "element 0 of the input: the 8 bytes are not an image"),
        (
            "genre",
            [SMALL["PNG"], SMALL["PNG"][:-60]],
            {},
            "422",
            "element 1 of the input: the image cannot be",
        ),
        ("genre", [SMALL["PNG"]], {"model_version": "9.9"}, "404", "9.9"),
        ("nonesuch", [SMALL["PNG"]], {}, "404", "nonesuch"),
        ("genre", [SMALL["PNG"]], {"outputs": TOP_3}, "400", "classification"),
    ],
)
def test_tritonclient_is_told_what_is_wrong(
    client: triton.InferenceServerClient,
    model: str,
    elements: list[bytes],
    arguments: dict[str, Any],
    status: str,
    said: str,
) -> None:
    with pytest.raises(InferenceServerException, match=said) as refusal:
        client.infer(model, [image_input(elements, [len(elements)])], **arguments)
    assert refusal.value.status() == status


def test_kserves_client_gets_the_same_by_every_protocol(
    gateway: str, images: list[Path], alone: list[Answer], version: str
) -> None:
    python = PROJECT_ROOT / ".venv-kserve/bin/python"
    if not python.exists() and not os.environ.get("CI"):
        pytest.skip("KServe's client is not installed: make .venv-kserve/.installed")
    command = [str(python), "tests/kserve_client.py", gateway, version, *map(str, images)]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["ready"] == [True] * 5
    for protocol in ("v1", "v2 as base64", "v2 binary"):
        assert_same(said[protocol], alone)
