"""The base class of handlers: its subclasses see one request at a time, and cannot get the batch wrong."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import torch
from ts.context import RequestProcessor

from tests.handler_context import answers, context
from torchserve_gateway.settings.composition import PROJECT_ROOT
from ts_serialize.batch_handler import BatchHandler
from ts_serialize.request_body import json_body
from ts_serialize.request_error import RequestError


class TooManyError(RequestError):
    status = 413
    phrase = "Content Too Large"
    type = "TooManyNumbersException"


class Sums(BatchHandler):
    """Adds up the numbers of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def load(self, context: Any) -> None:
        pass

    def decode(self, request: Mapping[str, Any]) -> torch.Tensor:
        numbers = json_body(request)["numbers"]
        if len(numbers) > 4:
            raise TooManyError(f"{len(numbers)} numbers, at most 4")
        return torch.tensor(numbers)

    def predict(self, batch: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(batch))
        if (batch == 13).any():
            raise RuntimeError("no 13s")
        return batch.sum(dim=1)

    def encode(self, output: torch.Tensor) -> Any:
        if output == 7:
            raise KeyError("seven")
        return {"sum": output.item()}


class FixedSums(Sums):
    input_shape = (3,)


class TogetherDecoded(Sums):
    """Decodes a request when another is decoded at the same time."""

    def load(self, context: Any) -> None:
        self.decode_threads = 2
        self.both = Barrier(2, timeout=60)

    def decode(self, request: Mapping[str, Any]) -> torch.Tensor:
        self.both.wait()
        return super().decode(request)


def started(handler: BatchHandler, directory: Path) -> BatchHandler:
    handler.initialize(context(directory, 0))
    return handler


def numbers(*values: float) -> dict[str, Any]:
    return {"body": {"numbers": list(values)}}


def test_requests_are_predicted_together_and_answered_in_order(tmp_path: Path) -> None:
    handler = Sums()
    result = answers(started(handler, tmp_path), tmp_path, [numbers(1, 2), numbers(3, 5), numbers(0, 0)])
    assert result == [(200, {"sum": 3}), (200, {"sum": 8}), (200, {"sum": 0})]
    assert handler.batches == [3]


def test_each_request_fails_with_its_own_status(tmp_path: Path) -> None:
    rows = [
        numbers(1, 2),
        numbers(1, 1, 1, 1, 1),
        {"body": b"no JSON"},
        {"body": {}},
        numbers(3, 4),
        numbers(5, 6),
    ]
    result = answers(started(Sums(), tmp_path), tmp_path, rows)
    assert [status for status, _ in result] == [200, 413, 400, 503, 503, 200]
    assert result[1][1] == {"code": 413, "type": "TooManyNumbersException", "message": "5 numbers, at most 4"}
    # As TorchServe answers for a handler that raised, with nothing of the handler's insides.
    failed = {"code": 503, "type": "InternalServerException", "message": "Prediction failed"}
    assert result[3][1] == result[4][1] == failed
    assert result[5][1] == {"sum": 11}


def test_a_request_on_which_the_model_fails_leaves_its_neighbours_their_answers(tmp_path: Path) -> None:
    rows = [numbers(1, 2), numbers(13, 1), numbers(2, 2)]
    result = answers(started(Sums(), tmp_path), tmp_path, rows)
    assert [status for status, _ in result] == [200, 503, 200]
    assert [answer for _, answer in result if "sum" in answer] == [{"sum": 3}, {"sum": 4}]


def test_a_lone_request_on_which_the_model_fails_is_torchserves_to_answer(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no 13s"):
        answers(started(Sums(), tmp_path), tmp_path, [numbers(13, 1)])


def test_a_batch_for_which_memory_lacks_is_torchserves_to_answer(tmp_path: Path) -> None:
    class Hungry(Sums):
        def predict(self, batch: torch.Tensor) -> torch.Tensor:
            raise MemoryError

    with pytest.raises(MemoryError):
        answers(started(Hungry(), tmp_path), tmp_path, [numbers(1), numbers(2)])


def test_requests_of_several_shapes_are_predicted_apart(tmp_path: Path) -> None:
    handler = Sums()
    result = answers(
        started(handler, tmp_path), tmp_path, [numbers(1), numbers(1, 2, 3), numbers(13), numbers(2)]
    )
    assert [status for status, _ in result] == [200, 200, 503, 200]
    assert [answer.get("sum") for _, answer in result] == [1, 6, None, 2]
    assert handler.batches == [1, 1, 1, 1]


def test_a_known_shape_is_warmed_up_and_every_other_refused(tmp_path: Path) -> None:
    handler = FixedSums()
    started(handler, tmp_path)
    assert handler.batches == [1, 1, 8, 8]
    good, bad = answers(handler, tmp_path, [numbers(1, 2, 3), numbers(1, 2)])
    assert good == (200, {"sum": 6})
    assert bad[0] == 422
    assert "shape (2,), the model takes (3,)" in bad[1]["message"]


def test_a_batch_of_only_bad_requests_is_answered(tmp_path: Path) -> None:
    handler = Sums()
    assert [status for status, _ in answers(started(handler, tmp_path), tmp_path, [{}, {"body": b"x"}])] == [
        400,
        400,
    ]
    assert handler.batches == []


def test_the_model_gets_the_dtype_of_the_handler(tmp_path: Path) -> None:
    class Tokens(Sums):
        dtype = torch.int64

    handler = started(Tokens(), tmp_path)
    assert handler.batch([torch.tensor([1.0]), torch.tensor([2.0])]).dtype == torch.int64
    assert started(Sums(), tmp_path).batch([torch.tensor([1]), torch.tensor([2])]).dtype == torch.float32


def test_predict_runs_without_gradients(tmp_path: Path) -> None:
    class Mode(Sums):
        def predict(self, batch: torch.Tensor) -> torch.Tensor:
            assert torch.is_inference_mode_enabled()
            return batch.sum(dim=1)

    assert answers(started(Mode(), tmp_path), tmp_path, [numbers(1, 2)]) == [(200, {"sum": 3})]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"a": 1}, "application/json"),
        ([1, 2], "application/json"),
        (None, "application/json"),
        ("7", "text/plain; charset=utf-8"),
        (b"\x89PNG", "application/octet-stream"),
    ],
)
def test_answers_carry_their_type_times_version_and_batch_size(
    tmp_path: Path, answer: Any, expected: str
) -> None:
    class Answers(Sums):
        def encode(self, output: torch.Tensor) -> Any:
            return answer

    handler, batch = started(Answers(), tmp_path), context(tmp_path, 2)
    assert handler.handle([numbers(1), {}], batch)[0] == answer
    good, bad = (batch.get_response_headers(index) for index in range(2))
    assert good["Content-Type"] == expected
    assert bad["Content-Type"] == "application/json"
    for headers in (good, bad):
        assert headers["X-Batch-Size"] == "2"
        assert headers["X-Model-Version"] == "1.0"
        stages = [each.split(";dur=")[0] for each in headers["Server-Timing"].split(", ")]
        assert stages == ["preprocess", "inference", "postprocess"]
    reported = batch.metrics.values
    assert reported["BatchSize"] == 2
    assert {"PreprocessTime", "InferenceTime", "PostprocessTime"} <= reported.keys()


@pytest.mark.parametrize(("config", "reported"), [({}, False), ({"handler": {"profile": True}}, True)])
def test_torchserve_gets_the_metrics_of_every_batch_where_the_archive_asks_for_a_profile(
    tmp_path: Path, config: dict[str, Any], reported: bool
) -> None:
    loaded = context(tmp_path, 0)
    loaded.model_yaml_config = config
    handler = Sums()
    handler.initialize(loaded)
    handler.handle([numbers(1)], context(tmp_path, 1))
    second = context(tmp_path, 1)
    handler.handle([numbers(1)], second)
    assert ("BatchSize" in second.metrics.values) == reported


def test_the_type_of_answers_can_be_chosen(tmp_path: Path) -> None:
    class Pictures(Sums):
        content_type = "image/png"

        def encode(self, output: torch.Tensor) -> bytes:
            return b"\x89PNG"

    handler, batch = started(Pictures(), tmp_path), context(tmp_path, 2)
    handler.handle([numbers(1), {}], batch)
    types = [batch.get_response_headers(index)["Content-Type"] for index in range(2)]
    assert types == ["image/png", "application/json"]


def test_an_explanation_of_a_model_that_has_none_fails_alone(tmp_path: Path) -> None:
    rows = [numbers(1, 2), numbers(3, 5)]
    first, second = answers(started(Sums(), tmp_path), tmp_path, rows, explained=[0])
    assert first[0] == first[1]["code"] == 501
    assert second == (200, {"sum": 8})


@pytest.mark.parametrize("outputs", [torch.zeros(3), [1, 2, 3]])
def test_outputs_that_do_not_match_the_batch_are_never_handed_out(
    tmp_path: Path, outputs: Sequence[float]
) -> None:
    class Short(Sums):
        def predict(self, batch: torch.Tensor) -> Any:
            return outputs

    with pytest.raises(ValueError, match="predict answered 3 outputs to a batch of 2"):
        answers(started(Short(), tmp_path), tmp_path, [numbers(1), numbers(2)])
    Short.input_shape = (1,)
    with pytest.raises(ValueError, match="predict answered 3 outputs to a batch of 8"):
        started(Short(), tmp_path)


def test_the_class_without_changes_serves_torchscript(tmp_path: Path) -> None:
    class Halves(BatchHandler):
        def decode(self, request: Mapping[str, Any]) -> torch.Tensor:
            return torch.tensor(json_body(request))

    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "model.pt")
    handler = started(Halves(), tmp_path)
    expected = handler.model(torch.tensor([[1.0, 2.0]])).tolist()[0]
    [(status, answer)] = answers(handler, tmp_path, [{"body": b"[1, 2]"}])
    assert status == 200
    assert answer == pytest.approx(expected, abs=1e-6)


def test_a_description_is_no_prediction(tmp_path: Path) -> None:
    class Described(Sums):
        def describe_handle(self) -> dict[str, Any]:
            return {"adds": "numbers"}

    handler, request = started(Described(), tmp_path), context(tmp_path, 1)
    request.request_processor = [RequestProcessor({"describe": "True"})]
    assert handler.handle([{}], request) == [{"adds": "numbers"}]
    assert "Server-Timing" not in request.get_response_headers(0)


def page_code(name: str) -> type[BatchHandler]:
    """The class of that name in docs/handlers.md."""
    blocks = (PROJECT_ROOT / "docs/handlers.md").read_text().split("```python\n")[1:]
    first, *rest = [block.split("```")[0] for block in blocks]
    namespace: dict[str, Any] = {}
    exec(first, namespace)
    for block in rest:
        if f"class {name}(" in block:
            exec(block, namespace)
    found: type[BatchHandler] = namespace[name]
    return found


class Total(torch.nn.Module):
    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch.sum(dim=1)


class Square(torch.nn.Module):
    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch * batch


@pytest.mark.parametrize(
    ("name", "file", "network", "body", "expected"),
    [
        ("SumHandler", "sum.pt", Total, [1, 2], {"sum": 3}),
        ("SquareHandler", "square.pt", Square, {"input": 3}, {"output": 9}),
    ],
)
def test_the_handlers_of_the_page_work(
    tmp_path: Path, name: str, file: str, network: type[torch.nn.Module], body: Any, expected: Any
) -> None:
    torch.jit.save(torch.jit.script(network()), tmp_path / file)
    handler = started(page_code(name)(), tmp_path)
    assert (
        answers(handler, tmp_path, [{"body": body}, {"body": b"["}, {"body": body}])[::2]
        == [(200, expected)] * 2
    )
    if name == "SumHandler":
        [(status, refused)] = answers(handler, tmp_path, [{"body": []}])
        assert (status, refused["type"]) == (422, "UnprocessableRequestException")


@pytest.mark.parametrize("body", [{"numbers": [1]}, b'{"numbers": [1]}', '{"numbers": [1]}'])
@pytest.mark.parametrize("field", ["body", "data"])
def test_json_is_read_however_it_was_sent(field: str, body: Any) -> None:
    assert json_body({field: body}) == {"numbers": [1]}


@pytest.mark.parametrize(
    "row", [{}, {"body": None}, {"body": b""}, {"body": b"\xff"}, {"body": b"[" * 100_000}]
)
def test_a_body_that_is_not_json_is_the_requests_mistake(row: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as caught:
        json_body(row)
    assert caught.value.status == 400


def test_threads_decode_requests_of_a_batch_at_the_same_time(tmp_path: Path) -> None:
    handler = started(TogetherDecoded(), tmp_path)
    rows = [{"body": {"numbers": numbers}} for numbers in ([1, 2], [1, 2, 3, 4, 5], [3, 5], [5, 6])]
    found = answers(handler, tmp_path, rows)
    assert [status for status, _ in found] == [200, 413, 200, 200]
    assert [found[position][1] for position in (0, 2, 3)] == [{"sum": 3}, {"sum": 8}, {"sum": 11}]
