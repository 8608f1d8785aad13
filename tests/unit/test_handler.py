"""The handler as a plain class, on the real checkpoint: one answer per request, whatever the batch holds."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ts.context import Context, RequestProcessor

from project_settings import ProjectSettings
from ts_serialize.handler import ImageClassificationHandler


@dataclass
class RecordingMetrics:
    """Takes what a handler reports, as TorchServe's metrics cache does."""

    values: dict[str, float] = field(default_factory=dict)

    def add_metric(self, name: str, value: float, unit: str, **_: Any) -> None:
        self.values[name] = value

    def add_time(self, name: str, value: float, idx: int | None = None, unit: str = "ms") -> None:
        self.values[name] = value


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory, settings: ProjectSettings) -> Path:
    directory = tmp_path_factory.mktemp("model")
    model = settings.model
    (directory / "model.pt").write_bytes(model.weights.path.read_bytes())
    (directory / "preprocessing.json").write_text(model.image.model_dump_json())
    labels = {str(index): label for index, label in enumerate(model.labels)}
    (directory / "index_to_name.json").write_text(json.dumps(labels))
    return directory


@pytest.fixture(scope="module")
def handler(model_dir: Path) -> ImageClassificationHandler:
    handler = ImageClassificationHandler()
    handler.initialize(context(model_dir, 0))
    return handler


def context(model_dir: Path, requests: int) -> Context:
    manifest = {"model": {"serializedFile": "model.pt", "modelVersion": "1.0", "modelName": "genre"}}
    context = Context("genre", str(model_dir), manifest, 8, None, "0.12.0", metrics=RecordingMetrics())
    context.model_yaml_config = {}
    context.request_processor = [RequestProcessor({}) for _ in range(requests)]
    return context


def answers(handler: ImageClassificationHandler, model_dir: Path, rows: list[dict[str, Any]]) -> list[Any]:
    """Each request's (status, answer)."""
    batch = context(model_dir, len(rows))
    result = handler.handle(rows, batch)
    return [(batch.get_response_status(index)[0], answer) for index, answer in enumerate(result)]


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_every_image_gets_its_own_answer_highest_first(
    handler: ImageClassificationHandler, model_dir: Path, images: list[Path], batch_size: int
) -> None:
    batch = images[:batch_size]
    result = answers(handler, model_dir, [{"body": image.read_bytes()} for image in batch])
    for image, (status, answer) in zip(batch, result, strict=True):
        assert status == 200
        assert next(iter(answer)).lower().replace(" ", "-") == image.stem.removesuffix("-2")
        assert list(answer.values()) == sorted(answer.values(), reverse=True)
        assert sum(answer.values()) == pytest.approx(1, abs=1e-5)


def test_an_answer_does_not_depend_on_its_batch(
    handler: ImageClassificationHandler, model_dir: Path, images: list[Path]
) -> None:
    rows = [{"body": image.read_bytes()} for image in images[:8]]
    together = answers(handler, model_dir, rows)
    for row, (_, answer) in zip(rows, together, strict=True):
        [(_, alone)] = answers(handler, model_dir, [row])
        assert answer == pytest.approx(alone, abs=1e-5)


def test_bad_images_fail_alone(
    handler: ImageClassificationHandler, model_dir: Path, images: list[Path]
) -> None:
    good = {"body": images[0].read_bytes()}
    rows = [good, {"body": b"no image"}, {"data": images[0].read_bytes()[:3000]}, {}, good]
    result = answers(handler, model_dir, rows)
    assert [status for status, _ in result] == [200, 415, 422, 400, 200]
    assert result[0][1] == pytest.approx(result[4][1], abs=1e-6)
    for status, answer in result[1:4]:
        assert answer["code"] == status
        assert set(answer) == {"code", "type", "message"}


def test_a_batch_of_only_bad_images_is_answered(handler: ImageClassificationHandler, model_dir: Path) -> None:
    assert [status for status, _ in answers(handler, model_dir, [{}, {"body": b"x"}])] == [400, 415]


def test_times_and_batch_size_are_reported(
    handler: ImageClassificationHandler, model_dir: Path, images: list[Path]
) -> None:
    batch = context(model_dir, 2)
    handler.handle([{"body": image.read_bytes()} for image in images[:2]], batch)
    reported = batch.metrics.values
    assert reported["BatchSize"] == 2
    assert all(reported[name] > 0 for name in ("PreprocessTime", "InferenceTime", "PostprocessTime"))


def test_every_answer_names_its_version_and_type(
    handler: ImageClassificationHandler, model_dir: Path, images: list[Path]
) -> None:
    batch = context(model_dir, 2)
    handler.handle([{"body": images[0].read_bytes()}, {}], batch)
    for index in range(2):
        headers = batch.get_response_headers(index)
        assert headers["X-Model-Version"] == "1.0"
        assert headers["Content-Type"] == "application/json"


def test_an_archive_whose_labels_do_not_fit_does_not_load(model_dir: Path, tmp_path: Path) -> None:
    for name in ("model.pt", "preprocessing.json"):
        (tmp_path / name).write_bytes((model_dir / name).read_bytes())
    (tmp_path / "index_to_name.json").write_text('{"0": "only one"}')
    with pytest.raises(ValueError, match=r"output has shape \(8, 10\), the class list wants \(8, 1\)"):
        ImageClassificationHandler().initialize(context(tmp_path, 0))
