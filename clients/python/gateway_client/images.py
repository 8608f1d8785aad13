"""Encodes images for requests and groups them into batches."""

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from gateway_client.errors import UnreadableImageError
from gateway_client.shrinking import shrink, to_rgb

ImageLike = bytes | os.PathLike[str] | Image.Image
"""An encoded image, an image file, or a decoded image."""

# Bytes of a form around each file.
FORM_BYTES = 1024


@dataclass(frozen=True)
class Limits:
    """Limits of a request, by default the gateway's; larger images are shrunk."""

    max_bytes: int = 6_500_000
    """Bytes of an encoded image."""
    max_pixels: int = 50_000_000
    """Width x height of an image."""
    max_batch_images: int = 32
    max_batch_bytes: int = 33_000_000
    """Bytes of a batch's form."""


def encoded(image: ImageLike, limits: Limits) -> bytes:
    """Encodes an image within the limits.

    Raises:
        UnreadableImageError: the image cannot be read, or is too large and cannot be decoded.
    """
    try:
        content = _content(image)
    # Pillow decodes lazily, and raises anything on broken bytes.
    except Exception as exc:
        raise UnreadableImageError(f"{name_of(image)} cannot be read: {exc}") from exc
    return shrink(content, limits.max_bytes, limits.max_pixels)


def encoded_or_error(image: ImageLike, limits: Limits) -> bytes | UnreadableImageError:
    """Encodes an image of a batch; a bad image does not fail the batch."""
    try:
        return encoded(image, limits)
    except UnreadableImageError as exc:
        return exc


def _content(image: ImageLike) -> bytes:
    if not isinstance(image, Image.Image):
        return image if isinstance(image, bytes) else Path(image).read_bytes()
    file = io.BytesIO()
    # Lossless if small enough.
    to_rgb(ImageOps.exif_transpose(image)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def name_of(image: ImageLike) -> str:
    """File name of an image in a form."""
    return Path(image).name if isinstance(image, os.PathLike) else "image"


def batches(files: Sequence[tuple[str, bytes]], limits: Limits) -> Iterator[list[tuple[str, bytes]]]:
    """Groups names and images, in order, into the largest batches within the limits."""
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
