"""KServe V1: from a request's instances to inputs, and from answers to predictions."""

import json
from collections.abc import Sequence
from typing import Any

from pydantic import AliasChoices, Field

from torchserve_gateway.gateway.errors import MalformedRequestError, TooManyFilesError
from torchserve_gateway.gateway.intake.handler_bodies import JSON
from torchserve_gateway.gateway.intake.json_bodies import Base64Text, RequestBody, decoded, parsed
from torchserve_gateway.gateway.prediction.answers import Answer
from torchserve_gateway.gateway.prediction.image_batches import NamedImage

# Numbers of instances that are passed on; parsed, 100,000 take some megabytes.
MAX_PASSED_ITEMS = 100_000
_NAMES = AliasChoices("instances", "inputs")


class Base64Object(RequestBody):
    """Bytes as TensorFlow Serving's REST API marks them."""

    b64: Base64Text


class ImageInstance(RequestBody):
    """One image, by the key of TorchServe's or KServe's examples."""

    image: Base64Text | Base64Object = Field(validation_alias=AliasChoices("data", "image", "image_bytes"))


class PredictRequest(RequestBody):
    """Body of `:predict`; KServe also calls `instances` `inputs`."""

    instances: list[Base64Text | Base64Object | ImageInstance] = Field(min_length=1, validation_alias=_NAMES)


class AnyRequest(RequestBody):
    """Body of `:predict` for a model whose inputs are no images."""

    instances: list[Any] = Field(min_length=1, validation_alias=_NAMES)


def read_images(body: bytes, max_images: int) -> list[NamedImage]:
    """The images of a request.

    Raises:
        MalformedRequestError: the body is no request of the protocol.
        TooManyFilesError: it has more than max_images.
    """
    instances = parsed(PredictRequest, body).instances
    _check_number(instances, max_images)
    return [_image(f"instances[{index}]", each) for index, each in enumerate(instances)]


def read_instances(body: bytes, max_instances: int) -> list[NamedImage]:
    """The instances of a request, each as a JSON document; arguments and errors as of `read_images`."""
    instances = parsed(AnyRequest, body, MAX_PASSED_ITEMS).instances
    _check_number(instances, max_instances)
    return [_document(f"instances[{index}]", each) for index, each in enumerate(instances)]


def prediction_of(answer: Answer) -> object:
    """An answer as the element of `predictions`; bytes as TensorFlow Serving marks them."""
    return {"b64": answer.value} if answer.is_base64 else answer.value


def _check_number(instances: Sequence[object], at_most: int) -> None:
    if len(instances) > at_most:
        raise TooManyFilesError(f"there are {len(instances)} instances, at most {at_most} are allowed")


def _image(name: str, instance: str | Base64Object | ImageInstance) -> NamedImage:
    return NamedImage(name, decoded(_text(instance), name))


def _text(instance: str | Base64Object | ImageInstance) -> str:
    """The base64 in an instance, however deep."""
    if isinstance(instance, ImageInstance):
        return _text(instance.image)
    return instance.b64 if isinstance(instance, Base64Object) else instance


def _document(name: str, instance: object) -> NamedImage:
    try:
        text = json.dumps(instance, ensure_ascii=False, allow_nan=False)
    except ValueError as exc:
        raise MalformedRequestError(f"{name} has a number that JSON has not: NaN or Infinity") from exc
    return NamedImage(name, text.encode(), JSON)
