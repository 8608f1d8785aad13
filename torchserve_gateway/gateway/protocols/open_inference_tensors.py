"""Open Inference Protocol: from a request's tensor to images or other inputs."""

from torchserve_gateway.gateway.errors import MalformedRequestError, TooManyFilesError
from torchserve_gateway.gateway.intake.json_bodies import decoded, parsed
from torchserve_gateway.gateway.prediction.image_batches import NamedImage
from torchserve_gateway.gateway.protocols.binary_tensors import read_bytes_tensor
from torchserve_gateway.gateway.protocols.open_inference_bodies import BASE64, InferenceRequest, InputTensor

HEADER_LENGTH = "Inference-Header-Content-Length"


def read_request(
    body: bytes, header_length: str | None, max_images: int, *, is_text: bool = False
) -> tuple[InferenceRequest, list[NamedImage]]:
    """The request, and its images.

    Args:
        body: JSON, then binary tensors.
        header_length: Value of HEADER_LENGTH, the bytes of JSON; None if all is JSON.
        max_images: Images that are allowed.
        is_text: Whether elements in the JSON are text, not base64, unless the input says otherwise.

    Raises:
        MalformedRequestError: the body is no request of the protocol.
        TooManyFilesError: it has more images.
    """
    json_bytes = _json_bytes(header_length, len(body))
    request = parsed(InferenceRequest, body[:json_bytes])
    [tensor] = request.inputs
    elements = _elements(tensor, body[json_bytes:], max_images, is_text=is_text)
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


def _elements(tensor: InputTensor, binary: bytes, max_images: int, *, is_text: bool) -> list[bytes]:
    size = tensor.parameters.binary_data_size if tensor.parameters else None
    content_type = tensor.parameters.content_type if tensor.parameters else None
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
    if is_text and content_type != BASE64:
        return [text.encode() for text in texts]
    return [decoded(text, _name(index)) for index, text in enumerate(texts)]


def _name(index: int) -> str:
    return f"element {index} of the input"
