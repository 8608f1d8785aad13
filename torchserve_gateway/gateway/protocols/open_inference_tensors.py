"""Open Inference Protocol: from a request's tensor to images, and from predictions to output tensors."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from torchserve_gateway.gateway.errors import MalformedRequestError, TooManyFilesError
from torchserve_gateway.gateway.intake.json_bodies import decoded, parsed
from torchserve_gateway.gateway.prediction.image_batches import NamedImage
from torchserve_gateway.gateway.protocols.binary_tensors import bytes_tensor, fp32_tensor, read_bytes_tensor
from torchserve_gateway.gateway.protocols.open_inference_bodies import (
    CLASSES,
    PROBABILITIES,
    InferenceRequest,
    InferenceResponse,
    InputTensor,
    OutputTensor,
    SizeInBody,
)
from torchserve_gateway.torchserve_api.errors import InvalidAnswerError

HEADER_LENGTH = "Inference-Header-Content-Length"
LARGEST_FP32 = 3.4028234663852886e38
Score = Annotated[float, Field(ge=-LARGEST_FP32, le=LARGEST_FP32)]
_SCORES = TypeAdapter(dict[str, Score])


def read_request(
    body: bytes, header_length: str | None, max_images: int
) -> tuple[InferenceRequest, list[NamedImage]]:
    """The request, and its images.

    Args:
        body: JSON, then binary tensors.
        header_length: Value of HEADER_LENGTH, the bytes of JSON; None if all is JSON.
        max_images: Images that are allowed.

    Raises:
        MalformedRequestError: the body is no request of the protocol.
        TooManyFilesError: it has more images.
    """
    json_bytes = _json_bytes(header_length, len(body))
    request = parsed(InferenceRequest, body[:json_bytes])
    [tensor] = request.inputs
    elements = _elements(tensor, body[json_bytes:], max_images)
    rows, *columns = tensor.shape
    if rows not in (-1, len(elements)) or columns not in ([], [1]) or not elements:
        raise MalformedRequestError(
            f"the input's shape is {tensor.shape} and it has {len(elements)} elements; "
            "send one element an image, at least one, as shape [N] or [N, 1]"
        )
    return request, [NamedImage(_name(index), element) for index, element in enumerate(elements)]


def _json_bytes(header_length: str | None, body_bytes: int) -> int:
    if header_length is None:
        return body_bytes
    if not (header_length.isascii() and header_length.isdecimal() and len(header_length) < 20):
        raise MalformedRequestError(f"{HEADER_LENGTH} is {header_length[:50]!r}, not a number of bytes")
    if int(header_length) > body_bytes:
        raise MalformedRequestError(f"{HEADER_LENGTH} is {header_length}, the body has {body_bytes} bytes")
    return int(header_length)


def _elements(tensor: InputTensor, binary: bytes, max_images: int) -> list[bytes]:
    size = tensor.parameters.binary_data_size if tensor.parameters else None
    if len(binary) != (size or 0):
        raise MalformedRequestError(
            f"{len(binary)} bytes follow the JSON, the input's binary_data_size is {size}; "
            f"{HEADER_LENGTH} says where the JSON ends"
        )
    if (tensor.data is None) == (size is None):
        raise MalformedRequestError("the input needs either data, as base64, or binary_data_size")
    if tensor.data is None:
        return read_bytes_tensor(binary, max_images)
    texts = [text for each in tensor.data for text in ([each] if isinstance(each, str) else each)]
    if len(texts) > max_images:
        raise TooManyFilesError(f"there are {len(texts)} images, at most {max_images} are allowed")
    return [decoded(text, _name(index)) for index, text in enumerate(texts)]


def _name(index: int) -> str:
    return f"element {index} of the input"


def response_to(
    request: InferenceRequest, model: str, version: str | None, predictions: Sequence[object]
) -> tuple[bytes, bytes]:
    """The answer's JSON, and the binary outputs that follow it.

    Args:
        request: Says which outputs are wanted and how.
        model: Its name.
        version: The version that answered.
        predictions: {class: probability} of each image.

    Raises:
        InvalidAnswerError: a prediction has another form, or the numbers of classes differ.
    """
    rows = [_highest_first(each) for each in predictions]
    shape = [len(rows), len(rows[0])]
    if any(len(row) != shape[1] for row in rows):
        raise InvalidAnswerError(f"{model} answered with different numbers of classes, which is no tensor")
    binary_all = bool(request.parameters and request.parameters.binary_data_output)
    outputs, binary = [], b""
    for name, in_body in _wanted(request, binary_all).items():
        output, raw = _output(name, shape, rows, in_body=in_body)
        outputs.append(output)
        binary += raw
    response = InferenceResponse(model_name=model, model_version=version, id=request.id, outputs=outputs)
    return response.model_dump_json(exclude_none=True).encode(), binary


def _highest_first(prediction: object) -> list[tuple[str, float]]:
    try:
        scores = _SCORES.validate_python(prediction, strict=True)
    except ValidationError as exc:
        raise InvalidAnswerError(
            "the model's answer is not {class: probability}, so it is no tensor"
        ) from exc
    return sorted(scores.items(), key=lambda item: item[1], reverse=True)


def _wanted(request: InferenceRequest, binary_all: bool) -> dict[str, bool]:
    """Whether an output comes behind the JSON, by its name."""
    if not request.outputs:
        return dict.fromkeys((CLASSES, PROBABILITIES), binary_all)
    own = {each.name: each.parameters.binary_data if each.parameters else None for each in request.outputs}
    return {name: binary_all if binary is None else binary for name, binary in own.items()}


def _output(
    name: str, shape: list[int], rows: Sequence[Sequence[tuple[str, float]]], *, in_body: bool
) -> tuple[OutputTensor, bytes]:
    classes = [label for row in rows for label, _ in row]
    probabilities = [probability for row in rows for _, probability in row]
    datatype, data = ("BYTES", classes) if name == CLASSES else ("FP32", probabilities)
    if not in_body:
        return OutputTensor(name=name, datatype=datatype, shape=shape, data=data), b""
    raw = bytes_tensor(map(str.encode, classes)) if name == CLASSES else fp32_tensor(probabilities)
    size = SizeInBody(binary_data_size=len(raw))
    return OutputTensor(name=name, datatype=datatype, shape=shape, parameters=size), raw
