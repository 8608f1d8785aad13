"""Whether what a client sent is an image that the model takes, told by its header before it is forwarded.

The handler finds out the rest when it decodes. In threads: a usual header takes a fraction of a millisecond,
but one made for it keeps Pillow busy much longer.
"""

import asyncio
from collections.abc import Mapping

from gateway.handler_bodies import HandlerBody, read_as_handler
from ts_serialize.image_header import check_header, image_bytes


async def check_image(encoded: bytes, max_pixels: int) -> bytes:
    """Passes one encoded image, or one as base64; gives the image.

    Raises:
        InputError: as the subclass that fits.
    """
    return await asyncio.to_thread(_checked, {"data": encoded}, max_pixels)


async def check_body(body: bytes, content_type: str, max_pixels: int) -> HandlerBody:
    """Passes a body of `/predictions/{model}` with one image in it, wherever the handler looks for it.

    Raises:
        InputError, GatewayError: as the subclass that fits.
    """
    return await asyncio.to_thread(_checked_body, body, content_type, max_pixels)


def _checked_body(body: bytes, content_type: str, max_pixels: int) -> HandlerBody:
    read = read_as_handler(body, content_type)
    _checked(read.row, max_pixels)
    return read


def _checked(row: Mapping[str, object], max_pixels: int) -> bytes:
    image = image_bytes(row)
    check_header(image, max_pixels)
    return image
