"""The Python client against the real stack."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gateway_client import (
    AsyncGatewayClient,
    DeadlineError,
    GatewayClient,
    Options,
    Prediction,
    RefusedError,
    UnreadableImageError,
)
from PIL import Image

from tests.http_client import HTTP
from tests.running_stack import RunningStack
from torchserve_gateway.settings.composition import PROJECT_ROOT

LARGE = (2400, 3600)


@pytest.fixture
def url(stack: RunningStack) -> str:
    return stack.settings.gateway.url


def large(file: Path) -> bytes:
    """A photograph of a poster: more bytes than the gateway takes."""
    with Image.open(file) as poster:
        pixels = np.asarray(poster.convert("RGB").resize(LARGE), dtype=np.int16)
    grain = np.random.default_rng(0).integers(-12, 12, pixels.shape, dtype=np.int16)
    content = io.BytesIO()
    Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)).save(content, "PNG")
    return content.getvalue()


def test_it_gets_what_curl_gets(url: str, images: list[Path]) -> None:
    with GatewayClient(url) as client:
        for file in images:
            prediction = client.predict(file)
            sent = HTTP.post(f"{url}/predictions/genre", content=file.read_bytes())
            assert prediction.probabilities == pytest.approx(sent.json(), abs=1e-4)
            assert prediction.version == sent.headers["x-model-version"]
            assert prediction.timings_s["inference"] > 0
            by_version = client.predict(file, "genre", prediction.version)
            assert by_version.top == prediction.top


def test_an_image_over_the_limit_is_shrunk_and_still_what_it_is(url: str, images: list[Path]) -> None:
    file = next(each for each in images if each.stem == "western")
    content = large(file)
    assert HTTP.post(f"{url}/predictions/genre", content=content).status_code == 413
    with GatewayClient(url) as client:
        assert client.predict(content).top == "Western"


async def test_many_images_come_back_in_order_and_a_bad_one_alone(url: str, images: list[Path]) -> None:
    async with AsyncGatewayClient(url) as client:
        alone = [(await client.predict(file)).probabilities for file in images]
        answers = await client.predict_batch([*images * 5, b"no image"])
    for answer, expected in zip(answers, alone * 5, strict=False):
        assert isinstance(answer, Prediction)
        assert answer.probabilities == pytest.approx(expected, abs=1e-4)
    assert isinstance(answers[-1], RefusedError)
    assert answers[-1].problem.status == 415


def test_a_deadline_that_is_too_short_ends_as_one_and_not_in_an_answer(url: str, images: list[Path]) -> None:
    with GatewayClient(url, Options(deadline_s=0.001)) as client, pytest.raises(DeadlineError):
        client.predict(images[0], "genre")


def test_a_batch_of_many_requests_and_a_bad_image_among_them_is_one_call(
    url: str, images: list[Path]
) -> None:
    many = [images[n % len(images)] for n in range(70)]
    with GatewayClient(url) as client:
        answers = client.predict_batch([*many[:40], Path("missing.jpg"), *many[40:]])
    assert isinstance(answers.pop(40), UnreadableImageError)
    tops = [answer.top.lower() for answer in answers if isinstance(answer, Prediction)]
    # The first of each poster says what the others must be.
    assert len(tops) == 70
    assert tops == [tops[n % len(images)] for n in range(70)]


def test_it_says_what_is_deployed_and_whether_that_is_ready(url: str) -> None:
    with GatewayClient(url, Options(deadline_s=10)) as client:
        assert client.ready()
        assert "genre" in {version.model for version in client.models()}


def test_what_the_documentation_shows_runs(url: str) -> None:
    page = (PROJECT_ROOT / "docs" / "client.md").read_text()
    examples = [each.split("```")[0] for each in page.split("```python\n")[1:]]
    assert len(examples) == 2
    for example in examples:
        code = example.replace("http://127.0.0.1:5003", url)
        ran = subprocess.run(
            [sys.executable, "-c", code],
            cwd=PROJECT_ROOT,
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT / "clients" / "python")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        assert "Horror" in ran.stdout
