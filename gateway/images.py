"""Whether what a client sent is an image that the model takes, told by its header before it is forwarded.

The handler finds out the rest when it decodes. In threads: a usual header takes a fraction of a millisecond,
but one made for it keeps Pillow busy much longer.
"""

import asyncio
import json

from gateway.errors import MalformedRequestError
from gateway.forms import FormParser, is_form
from ts_serialize.image_header import check_header, image_bytes

# In a body that is forwarded as it is. JSON takes 20 times its size when it is parsed.
MAX_FILES = 100
MAX_JSON_ITEMS = 1000
MAX_TARGET_CHARS = 100


async def check_image(encoded: bytes, max_pixels: int) -> None:
    """Passes one encoded image.

    Raises:
        InputError: as the subclass that fits.
    """
    await asyncio.to_thread(check_header, encoded, max_pixels)


async def check_body(body: bytes, content_type: str, max_pixels: int) -> None:
    """Passes a body of `/predictions/{model}` with one image in it, wherever the handler looks for it.

    Raises:
        InputError, GatewayError: as the subclass that fits.
    """
    await asyncio.to_thread(lambda: check_header(image_bytes(_request_row(body, content_type)), max_pixels))


async def check_target(body: bytes, content_type: str, max_chars: int) -> None:
    """Passes a body of `/explanations/{model}` unless its `target` is too long for the name of a class.

    Raises:
        MalformedRequestError: it is.
    """
    target = await asyncio.to_thread(lambda: _target(_request_row(body, content_type)))
    if len(target) > max_chars:
        raise MalformedRequestError(
            f"target = {target[:MAX_TARGET_CHARS]!r}... has {len(target)} characters; "
            "send the name of one of the model's classes"
        )


def _target(row: dict[str, object]) -> str:
    # Where the handler looks for it.
    body = row.get("data") or row.get("body")
    target = row.get("target", body.get("target", "") if isinstance(body, dict) else "")
    return target.decode(errors="replace") if isinstance(target, bytes | bytearray) else str(target)


def _request_row(body: bytes, content_type: str) -> dict[str, object]:
    """The request as TorchServe's worker hands it to the handler."""
    if not is_form(content_type):
        return {"body": _value(body, content_type)}
    form = FormParser(content_type, MAX_FILES)
    form.feed(body)
    return {part.name: _value(part.content, part.content_type) for part in form.parts()}


def _value(content: bytes | bytearray, content_type: str) -> object:
    # ts/protocol/otf_message_handler.py: what cannot be read as its type says stays bytes.
    media_type = content_type.partition(";")[0].strip()
    try:
        if media_type == "application/json":
            if content.count(b",") >= MAX_JSON_ITEMS:
                raise MalformedRequestError(f"the JSON has more than {MAX_JSON_ITEMS} items; send one image")
            return json.loads(content)
        if media_type.startswith("text"):
            return content.decode()
    except (ValueError, RecursionError):
        pass
    return content
