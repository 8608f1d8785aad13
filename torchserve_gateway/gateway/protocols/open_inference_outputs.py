"""Open Inference Protocol: from answers to output tensors.

A classifier has two, its classes and their probabilities. Any other model has one, the answers as they are.
"""

import base64
from collections.abc import Collection, Iterable, Sequence
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from torchserve_gateway.gateway.errors import MalformedRequestError
from torchserve_gateway.gateway.prediction.answers import Answer
from torchserve_gateway.gateway.protocols.binary_tensors import bytes_tensor, fp32_tensor
from torchserve_gateway.gateway.protocols.open_inference_bodies import (
    BASE64,
    CLASSES,
    OUTPUT,
    PROBABILITIES,
    ContentType,
    InferenceRequest,
    InferenceResponse,
    OutputTensor,
    SizeInBody,
)
from torchserve_gateway.torchserve_api.errors import InvalidAnswerError

LARGEST_FP32 = 3.4028234663852886e38
Score = Annotated[float, Field(ge=-LARGEST_FP32, le=LARGEST_FP32)]
_SCORES = TypeAdapter(dict[str, Score])
Rows = Sequence[Sequence[tuple[str, float]]]
"""Classes and probabilities of each image, the most probable class first."""


def check_outputs(request: InferenceRequest, model: str, labels: Collection[str] | None) -> None:
    """Passes a request for outputs that the model may have.

    Raises:
        MalformedRequestError: it wants classes of a model that has none.
    """
    asked = sorted({each.name for each in request.outputs or ()} - {OUTPUT})
    if asked and labels is not None and not labels:
        raise MalformedRequestError(f"{model} has no output {asked[0]!r}, only {OUTPUT!r}")


def response_to(
    request: InferenceRequest,
    model: str,
    version: str | None,
    answers: Sequence[Answer],
    labels: Collection[str] | None,
) -> tuple[bytes, bytes]:
    """The answer's JSON, and the binary outputs that follow it.

    Args:
        request: Says which outputs are wanted and how.
        model: Its name.
        version: The version that answered.
        answers: To each input.
        labels: The model's classes, empty if it has none; None: the answers tell.

    Raises:
        InvalidAnswerError: an answer has no classes where they are wanted, or the numbers of classes differ.
    """
    rows, wanted = _rows(request, model, answers, labels)
    outputs, binary = [], b""
    for name, in_body in wanted.items():
        output, raw = (
            _passed(answers, in_body=in_body) if name == OUTPUT else _output(name, rows, in_body=in_body)
        )
        outputs.append(output)
        binary += raw
    response = InferenceResponse(model_name=model, model_version=version, id=request.id, outputs=outputs)
    return response.model_dump_json(exclude_none=True).encode(), binary


def _rows(
    request: InferenceRequest, model: str, answers: Sequence[Answer], labels: Collection[str] | None
) -> tuple[Rows, dict[str, bool]]:
    """The rows, empty where none are wanted, and whether an output comes behind the JSON, by its name."""
    if request.outputs:
        wanted = _asked(request)
        return _scores(model, answers) if wanted.keys() - {OUTPUT} else [], wanted
    binary = bool(request.parameters and request.parameters.binary_data_output)
    if labels is not None and not labels:
        return [], {OUTPUT: binary}
    try:
        return _scores(model, answers), dict.fromkeys((CLASSES, PROBABILITIES), binary)
    except InvalidAnswerError:
        if labels:
            raise
        return [], {OUTPUT: binary}


def _asked(request: InferenceRequest) -> dict[str, bool]:
    default = bool(request.parameters and request.parameters.binary_data_output)
    own = {
        each.name: each.parameters.binary_data if each.parameters else None for each in request.outputs or ()
    }
    return {name: default if binary is None else binary for name, binary in own.items()}


def _scores(model: str, answers: Iterable[Answer]) -> Rows:
    rows = [_highest_first(each.value) for each in answers]
    if any(len(row) != len(rows[0]) for row in rows):
        raise InvalidAnswerError(f"{model} answered with different numbers of classes, which is no tensor")
    return rows


def _highest_first(prediction: object) -> list[tuple[str, float]]:
    try:
        scores = _SCORES.validate_python(prediction, strict=True)
    except ValidationError as exc:
        raise InvalidAnswerError(
            "the model's answer is not {class: probability}, so it is no tensor"
        ) from exc
    return sorted(scores.items(), key=lambda item: item[1], reverse=True)


def _output(name: str, rows: Rows, *, in_body: bool) -> tuple[OutputTensor, bytes]:
    shape = [len(rows), len(rows[0])]
    classes = [label for row in rows for label, _ in row]
    probabilities = [probability for row in rows for _, probability in row]
    datatype, data = ("BYTES", classes) if name == CLASSES else ("FP32", probabilities)
    if not in_body:
        return OutputTensor(name=name, datatype=datatype, shape=shape, data=data), b""
    raw = bytes_tensor(map(str.encode, classes)) if name == CLASSES else fp32_tensor(probabilities)
    size = SizeInBody(binary_data_size=len(raw))
    return OutputTensor(name=name, datatype=datatype, shape=shape, parameters=size), raw


def _passed(answers: Sequence[Answer], *, in_body: bool) -> tuple[OutputTensor, bytes]:
    """The answers as they are; in JSON as text, or all as base64 if any of them is no text."""
    shape, bodies = [len(answers)], [each.body for each in answers]
    if in_body:
        raw = bytes_tensor(bodies)
        size = SizeInBody(binary_data_size=len(raw))
        return OutputTensor(name=OUTPUT, datatype="BYTES", shape=shape, parameters=size), raw
    if not any(each.is_base64 for each in answers):
        texts = [body.decode() for body in bodies]
        return OutputTensor(name=OUTPUT, datatype="BYTES", shape=shape, data=texts), b""
    texts = [base64.b64encode(body).decode() for body in bodies]
    note = ContentType(content_type=BASE64)
    return OutputTensor(name=OUTPUT, datatype="BYTES", shape=shape, parameters=note, data=texts), b""
