"""JSON bodies with base64 in them. FastAPI would take all of a body before it is admitted."""

import codecs
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchserve_gateway.gateway.errors import MalformedRequestError
from ts_serialize import base64_text

# JSON takes 20 times its size when it is parsed.
MAX_JSON_ITEMS = 1000
Base64Text = Annotated[str, Field(json_schema_extra={"format": "byte"})]


class RequestBody(BaseModel):
    """Base of what clients send. A value of another type is refused, a key that is not ours is ignored."""

    model_config = ConfigDict(strict=True, frozen=True)


BodyT = TypeVar("BodyT", bound=RequestBody)


def as_utf8(body: bytes | bytearray) -> bytes | bytearray:
    """Text as UTF-8 without a byte order mark, which Windows' tools write, or as UTF-16; else as it is."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return body.decode("utf-16").encode() or body
        except UnicodeError:
            return body
    return body.removeprefix(codecs.BOM_UTF8)


def check_items(body: bytes | bytearray) -> None:
    """Passes JSON that does not grow too much when it is parsed.

    Raises:
        MalformedRequestError: it has more than MAX_JSON_ITEMS items.
    """
    if body.count(b",") >= MAX_JSON_ITEMS:
        raise MalformedRequestError(f"the JSON has more than {MAX_JSON_ITEMS} items")


def parsed(model: type[BodyT], body: bytes) -> BodyT:
    """The body as the model describes it. Megabytes take long; call this and the decoding in a thread.

    Raises:
        MalformedRequestError: it is something else.
    """
    check_items(body)
    try:
        return model.model_validate_json(as_utf8(body))
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise MalformedRequestError(f"{where} is not as it should be: {first['msg']}") from exc


def decoded(text: str, name: str) -> bytes:
    """What the base64 stands for. name: what an error calls it.

    Raises:
        MalformedRequestError: it is no base64, or has characters that base64 has not.
    """
    try:
        return base64_text.decoded(text)
    except ValueError as exc:
        raise MalformedRequestError(f"{name} is not base64 of an image: {exc}") from exc


def json_body(model: type[RequestBody], **other_types: dict[str, Any]) -> dict[str, Any]:
    """The body for OpenAPI. other_types: schemas by media type of what else may be sent."""
    schema = model.model_json_schema()
    content = {"application/json": {"schema": _inlined(schema, schema.get("$defs", {}))}}
    return {"requestBody": {"required": True, "content": content | other_types}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    # A $ref is relative to the whole OpenAPI document, where FastAPI has no place for these.
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items() if key != "$defs"}
