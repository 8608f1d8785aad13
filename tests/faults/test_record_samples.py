"""make record_samples: nobody needs to know an answer beforehand."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml
from typer.testing import Result

from tests.commands import command
from tests.fake_torchserve import FakeTorchServe, error, listening
from tests.shown_blocks import assert_same_words, shown_block
from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.deployment.answers.problems import find_problem
from torchserve_gateway.deployment.answers.samples import read_samples
from torchserve_gateway.record.record import DeployedModel, DeploymentRecord
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.samples import RecordSamplesSettings

ANSWER = {"boxes": [[1.5, 2.25], [3, 4]], "label": "cat"}


@dataclass
class Boxes:
    """A TorchServe that serves boxes."""

    torchserve: FakeTorchServe
    overrides: tuple[str, ...]
    """Of every command."""

    def record(self, *extra: str) -> Result:
        """`make record_samples`."""
        return command("record-samples", *self.overrides, *extra)


@pytest.fixture
def boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Boxes]:
    """Serves boxes 1.10, and the working folder holds its file without samples."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config" / "model").mkdir(parents=True)
    model = yaml.safe_load((PROJECT_ROOT / "config/model/genre.yaml").read_text())
    model = {key: model[key] for key in ("labels", "weights", "image")}
    (tmp_path / "config/model/boxes.yaml").write_text(
        f"# About boxes.\nname: boxes\nversion: '1.0'\n{yaml.safe_dump(model)}samples: [] # none yet\n"
    )
    shutil.copy(PROJECT_ROOT / "imgs/horror.jpg", tmp_path / "a.jpg")
    (tmp_path / "other").mkdir()
    shutil.copy(PROJECT_ROOT / "imgs/western.jpg", tmp_path / "other" / "a.jpg")
    (tmp_path / "var/deployments").mkdir(parents=True)
    DeploymentRecord(tmp_path / "var/deployments").write("boxes", DeployedModel(serving=VERSION))
    served = FakeTorchServe(httpx.Response(200, json=ANSWER))
    with listening(served) as url:
        yield Boxes(served, ("model=boxes", f"torchserve.inference_url={url}"))


def contents(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_each_answer_is_a_line_as_the_page_shows(boxes: Boxes, tmp_path: Path) -> None:
    for name in ("cat.jpg", "dog.jpg"):
        shutil.copy(tmp_path / "a.jpg", tmp_path / name)
    result = boxes.record("inputs=[cat.jpg,dog.jpg]")
    page = shown_block("docs/own-model.md", "cat.jpg: new config/model/pets.samples")
    assert_same_words(result.stdout, page.replace("pets", "boxes"))


def test_the_serving_versions_answers_become_the_expected_ones(boxes: Boxes, tmp_path: Path) -> None:
    result = boxes.record("inputs=[a.jpg,other/a.jpg,a.jpg]")
    assert result.exit_code == 0, result.stderr
    assert [request.url.path for request in boxes.torchserve.requests] == ["/predictions/boxes/1.10"] * 2
    assert result.stdout.splitlines() == [
        "a.jpg: new config/model/boxes.samples/a.jpg.json",
        "other/a.jpg: new config/model/boxes.samples/a.jpg-2.json",
        "answers of boxes 1.10 in config/model/boxes.yaml",
    ]
    text = (tmp_path / "config/model/boxes.yaml").read_text()
    assert text.startswith("# About boxes.\n")
    assert "samples: # none yet\n  - image: a.jpg\n" in text
    model = load("record_samples", RecordSamplesSettings, boxes.overrides).model
    samples = read_samples(model)
    assert len(samples) == 2
    for sample in samples:
        assert find_problem(json.dumps(ANSWER).encode(), [], sample, 0) is None
        assert find_problem(json.dumps(ANSWER | {"label": "dog"}).encode(), [], sample, 0) is not None


def test_recording_again_changes_only_what_is_answered_otherwise(boxes: Boxes, tmp_path: Path) -> None:
    assert boxes.record("inputs=[a.jpg]").exit_code == 0
    before = contents(tmp_path / "config")
    boxes.torchserve.answer = httpx.Response(200, json=ANSWER | {"boxes": [[1.5 + 1e-9, 2.25], [3, 4]]})
    again = boxes.record("inputs=[a.jpg]")
    assert "a.jpg: unchanged " in again.stdout
    assert contents(tmp_path / "config") == before
    boxes.torchserve.answer = httpx.Response(200, content=b"\xff\xfe")
    assert "a.jpg: changed " in boxes.record().stdout
    [changed] = [file for file, was in before.items() if file.read_bytes() != was]
    assert changed.read_bytes() == b"\xff\xfe"


@pytest.mark.parametrize(
    ("answer", "inputs", "said"),
    [
        (None, (), "boxes has no samples; give files to send, for example make record_samples MODEL=boxes"),
        (None, ("inputs=[nonesuch.jpg]",), "nonesuch.jpg"),
        (None, ("inputs=[a.jpg]", "write=other.yaml"), "other.yaml does not exist; write=FILE names"),
        (error(404, "ModelNotFoundException", "Model not found: boxes"), ("inputs=[a.jpg]",), "boxes 1.10"),
        (
            error(503, "InternalServerException", "Prediction failed"),
            ("inputs=[a.jpg]",),
            "Prediction failed",
        ),
    ],
)
def test_without_an_answer_nothing_is_written(
    boxes: Boxes,
    tmp_path: Path,
    answer: httpx.Response | None,
    inputs: tuple[str, ...],
    said: str,
) -> None:
    before = contents(tmp_path / "config")
    boxes.torchserve.answer = answer or boxes.torchserve.answer
    result = boxes.record(*inputs)
    assert result.exit_code == 1
    [line] = [each for each in result.stderr.splitlines() if each.startswith("failed: ")]
    assert said in line
    assert contents(tmp_path / "config") == before
