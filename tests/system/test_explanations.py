"""Explanations through the real gateway: everybody gets their own, and predictions beside them stay such."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.http_client import HTTP
from tests.running_stack import RunningStack
from tests.small_archive import small_archive

# Inherits explain_handle, which needs a get_insights that only some handlers have.
NO_EXPLANATIONS = """
from ts.torch_handler.base_handler import BaseHandler

class Handler(BaseHandler):
    def initialize(self, context):
        self.initialized = True

    def preprocess(self, data):
        return data

    def inference(self, data):
        return data

    def postprocess(self, data):
        return ["answer" for _ in data]
"""


@pytest.fixture(scope="module")
def gateway(stack: RunningStack) -> str:
    return stack.settings.gateway.url


@pytest.fixture
def unexplained(stack: RunningStack) -> Iterator[str]:
    """A model whose handler has no explanations."""
    name, management = "unexplained", stack.settings.torchserve.management_url
    archive = small_archive(stack.directory / "model_store", name, NO_EXPLANATIONS)
    registration = {"url": archive.name, "model_name": name, "initial_workers": "1"}
    HTTP.post(f"{management}/models", params=registration, timeout=60).raise_for_status()
    yield name
    HTTP.delete(f"{management}/models/{name}").raise_for_status()
    archive.unlink()


def test_every_poster_is_explained_by_its_genre(gateway: str, images: list[Path]) -> None:
    grids = []
    for image in images:
        prediction = HTTP.put(f"{gateway}/predictions/genre", content=image.read_bytes())
        version = prediction.headers["x-model-version"]
        for path in ("/explanations/genre", f"/explanations/genre/{version}"):
            response = HTTP.put(f"{gateway}{path}", content=image.read_bytes())
            explanation = response.raise_for_status().json()
            label = next(iter(prediction.json()))
            assert explanation["class"] == label
            assert explanation["probability"] == pytest.approx(prediction.json()[label], abs=1e-4)
            assert response.headers["x-model-name"] == "genre"
            assert response.headers["x-model-version"] == version
            assert response.headers["x-request-id"]
            assert response.headers["content-type"] == "application/json"
        assert [len(row) for row in explanation["attributions"]] == [8] * 8
        grids.append(explanation["attributions"])
    assert not any(grid in grids[:index] for index, grid in enumerate(grids))


def test_the_class_to_explain_can_be_chosen(gateway: str, images: list[Path]) -> None:
    url, image = f"{gateway}/explanations/genre", images[0].read_bytes()
    encoded = base64.b64encode(image).decode()
    by_form = HTTP.post(url, files={"data": ("a.jpg", image)}, data={"target": "Comedy"}).json()
    by_json = HTTP.post(url, json={"data": encoded, "target": "Comedy"}).json()
    by_curl = HTTP.post(url, data={"data": encoded, "target": "Comedy"}).json()
    assert by_form["class"] == by_json["class"] == by_curl["class"] == "Comedy"
    for ours, theirs in zip(by_form["attributions"], by_json["attributions"], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-3)
    unknown = HTTP.post(url, json={"data": encoded, "target": "Nonesuch"})
    assert unknown.status_code == 400
    assert "'Nonesuch' is none of the classes Action, " in unknown.json()["detail"]


async def test_predictions_and_explanations_at_once_get_what_each_asked_for(
    gateway: str, images: list[Path]
) -> None:
    """TorchServe puts them into the same batches, with images that cannot be decoded among them."""
    asked = [("explanations", "predictions", "explanations")[index % 3] for index in range(24)]
    sent = [images[index % len(images)].read_bytes() for index in range(24)]
    for index in range(0, 24, 8):
        sent[index] = b"not an image"
    async with httpx.AsyncClient(base_url=gateway, timeout=60) as client:
        responses = await asyncio.gather(
            *(client.post(f"/{api}/genre", content=image) for api, image in zip(asked, sent, strict=True))
        )
    for index, response in enumerate(responses):
        answer = response.json()
        if index % 8 == 0:
            assert response.status_code == answer["status"] == answer["code"] == 415
            assert answer["message"] == answer["detail"]
            continue
        genre = images[index % len(images)].stem.removesuffix("-2").replace("-", " ").title()
        assert response.status_code == 200, response.text
        assert ("attributions" in answer) == (asked[index] == "explanations")
        assert answer.get("class", next(iter(answer))) == genre


def test_a_handler_without_explanations_is_named(gateway: str, unexplained: str) -> None:
    assert HTTP.post(f"{gateway}/predictions/{unexplained}", content=b"x").text == "answer"
    response = HTTP.post(f"{gateway}/explanations/{unexplained}", content=b"x")
    assert response.status_code == response.json()["code"] == 502
    assert response.json()["detail"].endswith("the handler of unexplained may not support explanations")


@pytest.mark.parametrize("path", ["/explanations/nonesuch", "/explanations/genre/9.9"])
def test_an_unknown_model_or_version_is_404(gateway: str, images: list[Path], path: str) -> None:
    response = HTTP.post(f"{gateway}{path}", content=images[0].read_bytes())
    assert response.status_code == response.json()["code"] == 404
    assert path.rsplit("/", maxsplit=1)[-1] in response.json()["detail"]
