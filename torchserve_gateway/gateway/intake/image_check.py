"""Whether what a client sent is an image that the model takes, told by its header before it is forwarded.

The handler finds out the rest when it decodes. In threads: a usual header takes a fraction of a millisecond,
but one made for it keeps Pillow busy much longer.
"""

import asyncio
from collections.abc import Mapping

from torchserve_gateway.gateway.errors import MalformedRequestError
from torchserve_gateway.gateway.intake.handler_bodies import HandlerBody, read_as_handler
from ts_serialize.image_header import check_header
from ts_serialize.request_image import image_bytes

# Characters of `target`, where all classes have shorter names.
MIN_TARGET_LIMIT = 100


async def check_image(encoded: bytes, max_pixels: int) -> bytes:
    """Passes one encoded image, or one as base64; gives the image.

    Raises:
        InputError: as the subclass that fits.
    """
    return await asyncio.to_thread(_checked, {"data": encoded}, max_pixels)


async def check_body(body: bytes, content_type: str, max_pixels: int, max_target_chars: int) -> HandlerBody:
    """Passes a body of `/predictions/{model}` with one image in it, wherever the handler looks for it.

    max_target_chars: of `target`, the class that an explanation is asked for.

    Raises:
        InputError, GatewayError: as the subclass that fits.
    """
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
    # Where the handler looks for it.
    body = row.get("data") or row.get("body")
    target = row.get("target", body.get("target", "") if isinstance(body, Mapping) else "")
    return target.decode(errors="replace") if isinstance(target, bytes | bytearray) else str(target)


def _checked(row: Mapping[str, object], max_pixels: int) -> bytes:
    image = image_bytes(row)
    check_header(image, max_pixels)
    return image
