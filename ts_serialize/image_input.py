"""Decodes an image to upright 8-bit RGB.

Part of the model archive: imports only what TorchServe's own handlers import.
"""

from collections.abc import Sequence

import numpy as np
from PIL import ExifTags, Image, ImageOps
from PIL.ImageFile import ImageFile

from ts_serialize.image_header import open_image, undecodable
from ts_serialize.image_kinds import raw_mode
from ts_serialize.preprocessing import resized_size

# Decoded at the size of the network's input itself, answers would differ by up to 0.16.
DECODED_EDGES = 2
# Bytes. Pillow copies the decoded pixels of a WebP in blocks, by default of 64 KB.
ONE_BLOCK = 2**30
# EXIF orientations that exchange width and height.
TURNED = (5, 6, 7, 8)
# 8-bit value of each 16-bit grey value.
EIGHT_BITS = (np.arange(65536) * (255 / 65535)).round().astype(np.uint8)


def decode_image(encoded: bytes, max_pixels: int, resize: int | Sequence[int] | None = None) -> Image.Image:
    """Decodes the first frame, upright, as 8-bit RGB.

    resize: as in `image_transform`, if the image will be resized so. A large JPEG is then decoded at a half,
    a quarter or an eighth of its size, which takes a fraction of the time.

    Raises:
        InputError: the image cannot be served; the subclass tells why, see `open_image`.
    """
    image = open_image(encoded, max_pixels)
    try:
        if resize is not None and image.format == "JPEG":
            _scale_while_decoding(image, resize)
        elif image.format == "WEBP":
            image.decodermaxblock = ONE_BLOCK
        _scale_transparent_grey(image)
        ImageOps.exif_transpose(image, in_place=True)
        return to_rgb(image)
    # On broken bytes Pillow's decoders raise anything (OSError, SyntaxError, struct.error ...).
    except Exception as exc:
        raise undecodable(exc) from exc


def is_turned(image: Image.Image) -> bool:
    """Whether the upright image has width and height exchanged."""
    return image.getexif().get(ExifTags.Base.Orientation) in TURNED


def _scale_while_decoding(image: ImageFile, resize: int | Sequence[int]) -> None:
    """Chooses the smallest scale of libjpeg that leaves DECODED_EDGES times the edges of `resize`."""
    turned = is_turned(image)
    width, height = image.size
    size = resized_size(resize, (height, width) if turned else (width, height))
    across, down = size[::-1] if turned else size
    image.draft(None, (DECODED_EDGES * across, DECODED_EDGES * down))


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts an image from `open_image` to 8-bit RGB: transparency over white, 16-bit grey scaled."""
    if image.mode.startswith("I;16"):
        image = _eight_bit_grey(image)
    elif image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    # Pillow copies an image that has the mode already.
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bit_grey(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    grey = Image.fromarray(EIGHT_BITS[values])
    transparent = image.info.get("transparency")
    if transparent is not None:
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey


def _scale_transparent_grey(image: ImageFile) -> None:
    """Scales PNG's transparent grey of 2 or 4 bits to 8 bits, as Pillow scales the pixels."""
    top = {"L;2": 3, "L;4": 15}.get(raw_mode(image))
    if image.format == "PNG" and top and "transparency" in image.info:
        image.info["transparency"] = (image.info["transparency"] & top) * 255 // top
