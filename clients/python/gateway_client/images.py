"""From what a caller has to what is sent."""

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from gateway_client.errors import UnreadableImageError
from gateway_client.shrinking import shrink, to_rgb

ImageLike = bytes | os.PathLike[str] | Image.Image
"""An encoded image, a file with one, or a decoded one."""

# Of a form around each file.
FORM_BYTES = 1024


@dataclass(frozen=True)
class Limits:
    """What one request may hold; the defaults are those of the gateway. Larger images are shrunk."""

    max_bytes: int = 6_500_000
    max_pixels: int = 50_000_000
    max_batch_images: int = 32
    max_batch_bytes: int = 33_000_000


def encoded(image: ImageLike, limits: Limits) -> bytes:
    """The image as it is sent.

    Raises:
        UnreadableImageError: it cannot be read, or it is too large and cannot be decoded.
    """
    try:
        content = _content(image)
    # A picture that Pillow opened is decoded only now, and broken bytes make it raise anything.
    except Exception as exc:
        raise UnreadableImageError(f"{name_of(image)} cannot be read: {exc}") from exc
    return shrink(content, limits.max_bytes, limits.max_pixels)


def encoded_or_error(image: ImageLike, limits: Limits) -> bytes | UnreadableImageError:
    """Of a batch, where one bad image is not to keep the others from their answers."""
    try:
        return encoded(image, limits)
    except UnreadableImageError as exc:
        return exc


def _content(image: ImageLike) -> bytes:
    if not isinstance(image, Image.Image):
        return image if isinstance(image, bytes) else Path(image).read_bytes()
    file = io.BytesIO()
    # Without loss, as long as that is small enough.
    to_rgb(ImageOps.exif_transpose(image)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def name_of(image: ImageLike) -> str:
    """What its part of a form is called."""
    return Path(image).name if isinstance(image, os.PathLike) else "image"


def batches(files: Sequence[tuple[str, bytes]], limits: Limits) -> Iterator[list[tuple[str, bytes]]]:
    """Names and images in the order given, as many in one as a request may hold."""
    batch: list[tuple[str, bytes]] = []
    size = 0
    for name, image in files:
        if batch and (len(batch) == limits.max_batch_images or size + len(image) > limits.max_batch_bytes):
            yield batch
            batch, size = [], 0
        batch.append((name, image))
        size += len(image) + FORM_BYTES
    if batch:
        yield batch
