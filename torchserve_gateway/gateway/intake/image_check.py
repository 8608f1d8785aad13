"""Checks an image's header before the image is forwarded; the handler checks the rest when it decodes.

Plain images are recognized at once. Any other is checked in a thread: a malicious header keeps Pillow busy
for long.
"""

import asyncio
from collections.abc import Mapping

from torchserve_gateway.gateway.errors import MalformedRequestError
from torchserve_gateway.gateway.intake.forms import is_form
from torchserve_gateway.gateway.intake.handler_bodies import HandlerBody, read_as_handler
from torchserve_gateway.gateway.intake.plain_images import is_plain_image
from ts_serialize.image_header import check_header
from ts_serialize.request_image import image_bytes

# Allowed characters of `target` if every class name is shorter.
MIN_TARGET_LIMIT = 100


async def check_image(encoded: bytes, max_pixels: int) -> bytes:
    """Checks an image, encoded or as base64, and returns its encoded bytes.

    Raises:
        InputError: The image is not served; the subclass says why.
    """
    if is_plain_image(encoded, max_pixels):
        return encoded
    return await asyncio.to_thread(_checked, {"data": encoded}, max_pixels)


async def check_body(body: bytes, content_type: str, max_pixels: int, max_target_chars: int) -> HandlerBody:
    """Checks the image in a body of `/predictions/{model}`, in any field that the handler reads.

    Args:
        body: The decompressed body.
        content_type: The request's Content-Type.
        max_pixels: Pixels an image may have.
        max_target_chars: Characters of `target`, the class to explain.

    Raises:
        InputError: The image is not served; the subclass says why.
        MalformedRequestError, TooManyFilesError: See `read_as_handler`; or `target` is too long.
    """
    if is_plain_image(body, max_pixels) and not is_form(content_type):
        return read_as_handler(body, content_type)
    return await asyncio.to_thread(_checked_body, body, content_type, max_pixels, max_target_chars)


def _checked_body(body: bytes, content_type: str, max_pixels: int, max_target_chars: int) -> HandlerBody:
    read = read_as_handler(body, content_type)
    _checked(read.row, max_pixels)
    target = _target(read.row)
    if len(target) > max_target_chars:
        raise MalformedRequestError(
            f"target = {target[:MIN_TARGET_LIMIT]!r}... has {len(target)} characters; "
            "send the name of one of the model's classes"
        )
    return read


def _target(row: Mapping[str, object]) -> str:
    # The same places, in the same order, as in the handler.
    body = row.get("data") or row.get("body")
    target = row.get("target", body.get("target", "") if isinstance(body, Mapping) else "")
    return target.decode(errors="replace") if isinstance(target, bytes | bytearray) else str(target)


def _checked(row: Mapping[str, object], max_pixels: int) -> bytes:
    image = image_bytes(row)
    check_header(image, max_pixels)
    return image
