"""Parses JSON bodies that hold base64. FastAPI would read the whole body before admission."""

import codecs
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchserve_gateway.gateway.errors import MalformedRequestError
from ts_serialize import base64_text

# Parsed JSON takes 20 times the memory of its text.
MAX_JSON_ITEMS = 1000
Base64Text = Annotated[str, Field(json_schema_extra={"format": "byte"})]


class RequestBody(BaseModel):
    """Base of request models: values of another type are refused, unknown keys are ignored."""

    model_config = ConfigDict(strict=True, frozen=True)


BodyT = TypeVar("BodyT", bound=RequestBody)


def as_utf8(body: bytes | bytearray) -> bytes | bytearray:
    """Converts text with a byte order mark (UTF-8 or UTF-16, as Windows tools write) to plain UTF-8."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return body.decode("utf-16").encode() or body
        except UnicodeError:
            return body
    return body.removeprefix(codecs.BOM_UTF8)


def check_items(body: bytes | bytearray, max_items: int = MAX_JSON_ITEMS) -> None:
    """Checks that parsed JSON will not take too much memory.

    Raises:
        MalformedRequestError: The JSON has more than max_items items.
    """
    if body.count(b",") >= max_items:
        raise MalformedRequestError(f"the JSON has more than {max_items} items")


def parsed(model: type[BodyT], body: bytes, max_items: int = MAX_JSON_ITEMS) -> BodyT:
    """Parses the body into the model. Run it and the base64 decoding in a thread: megabytes take long.

    Raises:
        MalformedRequestError: The body is not JSON of that form.
    """
    check_items(body, max_items)
    try:
        return model.model_validate_json(as_utf8(body))
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise MalformedRequestError(f"{where} is invalid: {first['msg']}") from exc


def decoded(text: str, name: str) -> bytes:
    """Decodes base64; `name` is the field's name in errors.

    Raises:
        MalformedRequestError: The text is not base64.
    """
    try:
        return base64_text.decoded(text)
    except ValueError as exc:
        raise MalformedRequestError(f"{name} is not base64 of an image: {exc}") from exc


def json_body(model: type[RequestBody], **other_types: dict[str, Any]) -> dict[str, Any]:
    """Describes the body in OpenAPI. `other_types` maps further media types to their schemas."""
    content = {"application/json": {"schema": _schema(model)}}
    return {"requestBody": {"required": True, "content": content | other_types}}


@cache
def _schema(model: type[RequestBody]) -> Any:
    schema = model.model_json_schema()
    return _inlined(schema, schema.get("$defs", {}))


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    # A $ref resolves in the whole OpenAPI document, where FastAPI offers no place for these definitions.
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items() if key != "$defs"}
