"""KServe V1: from a request's instances to inputs, and from answers to predictions."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import AliasChoices, Field

from torchserve_gateway.gateway.errors import MalformedRequestError, TooManyFilesError
from torchserve_gateway.gateway.intake.forms import MAX_FIELDS
from torchserve_gateway.gateway.intake.handler_bodies import JSON, OCTET_STREAM, form_of
from torchserve_gateway.gateway.intake.json_bodies import Base64Text, RequestBody, decoded, parsed
from torchserve_gateway.gateway.prediction.answers import Answer
from torchserve_gateway.gateway.prediction.image_batches import NamedImage

# Numbers of instances that are passed on; parsed, 100,000 take some megabytes.
MAX_PASSED_ITEMS = 100_000
_NAMES = AliasChoices("instances", "inputs")
# Bytes, as TensorFlow Serving's REST API marks them.
_B64 = "b64"
_BODY = "body"
# Names that a form carries as they are.
_FIELD = re.compile(r"[\w.:-]{1,100}", re.ASCII)


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


def read_rows(body: bytes, max_instances: int, max_bytes: int) -> list[NamedImage]:
    """The instances of a request to an archive of others; arguments and errors as of `read_images`.

    An object becomes a form, so that the handler's row has its fields, as behind KServe's runtime, and the
    object itself in `body`, where handlers of plain JSON look. Above max_bytes the row has the fields alone.
    """
    instances = parsed(AnyRequest, body, MAX_PASSED_ITEMS).instances
    _check_number(instances, max_instances)
    return [_row(f"instances[{index}]", each, max_bytes) for index, each in enumerate(instances)]


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
    return NamedImage(name, _json(name, instance), JSON)


def _json(name: str, value: object) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as exc:
        raise MalformedRequestError(f"{name} has a number that JSON has not: NaN or Infinity") from exc


def _row(name: str, instance: object, max_bytes: int) -> NamedImage:
    if not isinstance(instance, dict) or not 0 < len(instance) < MAX_FIELDS:
        return _document(name, instance)
    if _is_marked(instance):
        return NamedImage(name, decoded(instance[_B64], name))
    if not all(_FIELD.fullmatch(field) for field in instance):
        return _document(name, instance)
    fields = {field: _field(f"{name}.{field}", value) for field, value in instance.items()}
    form = NamedImage(name, *form_of(fields))
    if _BODY in fields:
        return form
    with_body = NamedImage(name, *form_of({**fields, _BODY: (_json(name, instance), JSON)}))
    return with_body if len(with_body.content) <= max_bytes else form


def _field(name: str, value: object) -> tuple[bytes, str]:
    if isinstance(value, dict) and _is_marked(value):
        return decoded(value[_B64], name), OCTET_STREAM
    return _json(name, value), JSON


def _is_marked(value: Mapping[str, object]) -> bool:
    """Whether it is bytes: {"b64": "..."}."""
    return value.keys() == {_B64} and isinstance(value[_B64], str)
