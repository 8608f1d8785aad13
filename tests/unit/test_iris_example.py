"""The handler of examples/iris as a plain class, with the committed weights."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from examples.iris.handler import IrisHandler
from tests.handler_context import answers, context
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.project import ProjectSettings

SETOSA = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory, model = tmp_path_factory.mktemp("iris"), load("gateway", ProjectSettings, ["model=iris"]).model
    shutil.copyfile(model.checkpoint.path, directory / "model.pt")
    (directory / "index_to_name.json").write_text(json.dumps(dict(enumerate(model.labels))))
    return directory


@pytest.fixture(scope="module")
def handler(model_dir: Path) -> IrisHandler:
    handler = IrisHandler()
    handler.initialize(context(model_dir, 0))
    return handler


@pytest.mark.parametrize("species", ["setosa", "virginica"])
def test_samples_get_their_answers(handler: IrisHandler, model_dir: Path, species: str) -> None:
    samples = PROJECT_ROOT / "examples/iris/samples"
    expected = json.loads((samples / f"{species}.answer.json").read_text())
    [(status, answer)] = answers(handler, model_dir, [{"body": (samples / f"{species}.json").read_bytes()}])
    assert (status, answer["species"]) == (200, species)
    assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)


@pytest.mark.parametrize(
    ("flower", "said"),
    [
        ([1, 2, 3, 4], "no JSON object"),
        ({"sepal_length": 5.1}, "sepal_width, petal_length, petal_width missing"),
        (SETOSA | {"petal_width": "0.2"}, "petal_width is '0.2'"),
        (SETOSA | {"petal_width": True}, "petal_width is 'True'"),
        (SETOSA | {"petal_width": float("nan")}, "petal_width is 'nan'"),
        (SETOSA | {"petal_width": 10**400}, "send centimetres"),
    ],
)
def test_a_flower_that_cannot_be_is_refused_alone(
    handler: IrisHandler, model_dir: Path, flower: Any, said: str
) -> None:
    bad, good = answers(handler, model_dir, [{"body": flower}, {"body": SETOSA}])
    assert bad[0] == 422
    assert said in bad[1]["message"]
    assert (good[0], good[1]["species"]) == (200, "setosa")
