"""The handler as a plain class, on the real checkpoint: one answer per request, whatever the batch holds."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from captum.attr import Occlusion
from ts.context import RequestProcessor

from tests.handler_context import answers, context
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.torchserve_api.handler_timing import batch_size, stages_s
from ts_serialize.explanation import UnknownClassError, attributions, requested_class
from ts_serialize.gpu_decoding import GpuDecoding
from ts_serialize.handler import ImageClassificationHandler
from ts_serialize.stage_times import StageTimes


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory, settings: ProjectSettings) -> Path:
    directory = tmp_path_factory.mktemp("model")
    model = settings.model
    (directory / "model.pt").write_bytes(model.checkpoint.path.read_bytes())
    (directory / "preprocessing.json").write_text(model.preprocessing.model_dump_json())
    labels = {str(index): label for index, label in enumerate(model.labels)}
    (directory / "index_to_name.json").write_text(json.dumps(labels))
    return directory


@pytest.fixture(scope="module")
def handler(model_dir: Path) -> ImageClassificationHandler:
    handler = ImageClassificationHandler()
    handler.initialize(context(model_dir, 0))
    return handler


@pytest.mark.parametrize("key", ["cuda_graphs", "gpu_decoding"])
def test_a_worker_without_a_gpu_serves_without_it_with_a_warning(
    model_dir: Path, tmp_path: Path, images: list[Path], caplog: pytest.LogCaptureFixture, key: str
) -> None:
    directory = shutil.copytree(model_dir, tmp_path / "with")
    described = directory / "preprocessing.json"
    described.write_text(json.dumps(json.loads(described.read_text()) | {key: True}))
    handler = ImageClassificationHandler()
    handler.initialize(context(directory, 0))
    assert f"{key}: this worker has no GPU; it serves without" in caplog.text
    [(status, answer)] = answers(handler, directory, [{"body": images[0].read_bytes()}])
    assert (status, len(answer)) == (200, len(handler.labels))


def test_with_gpu_decoding_a_mixed_batch_gets_the_same_answers(
    handler: ImageClassificationHandler, model_dir: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"body": image.read_bytes()} for image in images]
    rows.insert(2, {"body": b"no image"})
    expected = answers(handler, model_dir, rows)
    # TorchCodec decodes on the CPU by the same call.
    decoding = GpuDecoding(handler.preprocessing, torch.device("cpu"))
    monkeypatch.setattr(handler, "gpu_decoding", decoding)
    found = answers(handler, model_dir, rows)
    assert found[2] == expected[2]
    for (status, answer), (_, wanted) in zip(found[:2] + found[3:], expected[:2] + expected[3:], strict=True):
        assert status == 200
        assert answer == pytest.approx(wanted, abs=0.05)


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
    handler.times = StageTimes()
    handler.handle([{"body": image.read_bytes()} for image in images[:2]], batch)
    reported = batch.metrics.values
    assert reported["BatchSize"] == 2
    assert all(reported[name] > 0 for name in ("PreprocessTime", "InferenceTime", "PostprocessTime"))


def test_every_answer_says_its_batch_size_and_what_took_how_long(
    handler: ImageClassificationHandler, model_dir: Path, images: list[Path]
) -> None:
    explanation = context(model_dir, 3, explained=[1])
    handler.handle([{"body": image.read_bytes()} for image in images[:3]], explanation)
    prediction = context(model_dir, 2)
    handler.handle([{"body": image.read_bytes()} for image in images[:2]], prediction)
    stages = ["preprocess", "inference", "postprocess"]
    for batch, size, expected in ((explanation, 3, [*stages, "explain"]), (prediction, 2, stages)):
        for index in range(size):
            headers = batch.get_response_headers(index)
            assert batch_size({"x-batch-size": headers["X-Batch-Size"]}) == size
            said = stages_s({"server-timing": headers["Server-Timing"]}, at_most_s=60)
            assert list(said) == expected
            assert all(seconds > 0 for seconds in said.values())


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


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"resize": 64}, "resize has to be"),
        ({"resize": 64, "crop": 65}, "larger than resize"),
        ({"std": [0.1, 0.0, 0.1]}, "finite number above 0"),
    ],
)
def test_an_archive_whose_preprocessing_fails_only_for_some_images_does_not_load(
    model_dir: Path, tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    for name in ("model.pt", "index_to_name.json"):
        (tmp_path / name).write_bytes((model_dir / name).read_bytes())
    settings = json.loads((model_dir / "preprocessing.json").read_text()) | change
    (tmp_path / "preprocessing.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=problem):
        ImageClassificationHandler().initialize(context(tmp_path, 0))


def test_an_explanation_says_how_the_classes_logit_falls_when_a_part_is_covered(
    handler: ImageClassificationHandler, model_dir: Path, images: list[Path]
) -> None:
    row = {"body": images[0].read_bytes()}
    [(_, prediction)] = answers(handler, model_dir, [row])
    [(status, explanation)] = answers(handler, model_dir, [row], explained=[0])
    assert status == 200
    assert explanation["class"] == next(iter(prediction))
    assert explanation["probability"] == pytest.approx(prediction[explanation["class"]], abs=1e-6)
    images_in = handler.preprocess([row]).tensor
    assert images_in is not None
    image = images_in[0]
    index = handler.labels.index(explanation["class"])
    height, width = image.shape[1] // 8, image.shape[2] // 8
    for down, across in ((0, 0), (3, 5), (7, 7)):
        covered = image.clone()
        covered[:, down * height : (down + 1) * height, across * width : (across + 1) * width] = 0
        before, after = handler.model(image[None]), handler.model(covered[None])
        fall = (before - after)[0, index].item()
        assert explanation["attributions"][down][across] == pytest.approx(fall, abs=1e-3)
    assert [len(line) for line in explanation["attributions"]] == [8] * 8


@pytest.mark.parametrize(
    "row",
    [
        lambda image, target: {"data": image, "target": target.encode()},
        lambda image, target: {"body": {"data": base64.b64encode(image).decode(), "target": target}},
    ],
)
def test_an_explanation_is_of_the_class_that_is_asked_for(
    handler: ImageClassificationHandler,
    model_dir: Path,
    images: list[Path],
    row: Callable[[bytes, str], dict[str, Any]],
) -> None:
    image = images[0].read_bytes()
    [(_, prediction)] = answers(handler, model_dir, [{"body": image}])
    last = list(prediction)[-1]
    rows = [row(image, last), row(image, "Nonesuch")]
    explained, refused = answers(handler, model_dir, rows, explained=[0, 1])
    assert explained[0] == 200
    assert explained[1]["class"] == last
    assert explained[1]["probability"] == pytest.approx(prediction[last], abs=1e-6)
    assert refused[0] == refused[1]["code"] == 400
    assert "'Nonesuch'" in refused[1]["message"]
    assert last in refused[1]["message"]


@pytest.mark.parametrize("target", [None, 0, False, [], {}, "action"])
def test_only_an_empty_or_missing_class_stands_for_the_most_probable_one(target: object) -> None:
    assert requested_class({"body": {"data": "", "target": ""}}, ["Action"]) is None
    assert requested_class({"body": {"data": ""}}, ["Action"]) is None
    with pytest.raises(UnknownClassError):
        requested_class({"body": {"data": "", "target": target}}, ["Action"])


@pytest.mark.parametrize("explained", [[0, 3], [1, 4], [2]])
def test_predictions_and_explanations_in_one_batch_get_what_each_asked_for(
    handler: ImageClassificationHandler, model_dir: Path, images: list[Path], explained: list[int]
) -> None:
    bad = {"body": b"no image"}
    rows = [{"body": image.read_bytes()} for image in images[:3]] + [bad, {"body": images[3].read_bytes()}]
    alone = [answers(handler, model_dir, [row])[0] for row in rows]
    for position, (status, answer) in enumerate(answers(handler, model_dir, rows, explained)):
        assert status == alone[position][0] == (415 if rows[position] is bad else 200)
        if rows[position] is not bad and position in explained:
            assert answer["class"] == next(iter(alone[position][1]))
        elif rows[position] is not bad:
            assert answer == pytest.approx(alone[position][1], abs=1e-5)


def test_a_batch_of_only_bad_images_is_explained_as_such(
    handler: ImageClassificationHandler, model_dir: Path
) -> None:
    rows: list[dict[str, Any]] = [{}, {"body": b"x"}]
    assert [status for status, _ in answers(handler, model_dir, rows, explained=[0, 1])] == [400, 415]


def test_the_grid_covers_an_input_that_it_does_not_divide(handler: ImageClassificationHandler) -> None:
    grid = attributions(handler.model, torch.rand(3, 190, 125), index=0, batch_size=6)
    assert [len(line) for line in grid] == [8] * 8


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 6, 64])
def test_the_grid_is_that_of_captums_occlusion(handler: ImageClassificationHandler, batch_size: int) -> None:
    image = torch.rand(3, 190, 125)
    cell = (3, 24, 16)
    with torch.inference_mode():
        falls = Occlusion(handler.model).attribute(
            image[None], sliding_window_shapes=cell, strides=cell, target=2
        )
    grid = attributions(handler.model, image, index=2, batch_size=batch_size)
    assert torch.allclose(torch.tensor(grid), falls[0, 0, ::24, ::16], atol=1e-4)


def test_the_handler_describes_its_classes_and_its_preprocessing(
    handler: ImageClassificationHandler, model_dir: Path, settings: ProjectSettings
) -> None:
    request = context(model_dir, 1)
    request.request_processor = [RequestProcessor({"describe": "True"})]
    [described] = handler.handle([{}], request)
    assert described["labels"] == settings.model.labels
    assert described["image"] == settings.model.preprocessing.model_dump()


@pytest.mark.slow
def test_the_likeliest_classes_alone_are_answered_and_any_can_be_explained(
    model_dir: Path, images: list[Path]
) -> None:
    class TopThree(ImageClassificationHandler):
        top_k = 3

    handler, whole = TopThree(), ImageClassificationHandler()
    for each in (handler, whole):
        each.initialize(context(model_dir, 0))
    row = {"body": images[0].read_bytes()}
    [(_, everything)] = answers(whole, model_dir, [row])
    [(_, top)] = answers(handler, model_dir, [row])
    assert top == pytest.approx(dict(list(everything.items())[:3]), abs=1e-6)
    last = list(everything)[-1]
    [(status, explained)] = answers(handler, model_dir, [row | {"target": last}], explained=[0])
    assert status == 200
    assert explained["probability"] == pytest.approx(everything[last], abs=1e-6)
