"""Recognizes variants of the served formats that Pillow cannot decode or decodes wrongly.

Reads the header alone. tests/unit/test_image_formats.py finds such variants by comparing Pillow with a second
decoder. Part of the model archive.
"""

import struct
from contextlib import suppress

from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from ts_serialize.jpeg_markers import JPEG_LS_FRAME, frame
from ts_serialize.tiff_kinds import TILE_HEIGHT, TILE_WIDTH, unopened_tiff, unsupported_tiff

JPEG_BITS = 8
JPEG_COMPONENTS = (1, 3, 4)
BMP_BITFIELDS = 3
# Header sizes in bytes: OS/2 1, and the first version with an alpha mask.
BMP_CORE_HEADER, BMP_ALPHA_HEADER = 12, 56


def unsupported_kind(image: ImageFile, encoded: bytes) -> str | None:
    """Names the variant of an image that Pillow opened; None if Pillow decodes it right."""
    if isinstance(image, TiffImageFile):
        return unsupported_tiff(image.tag_v2)
    if image.format == "BMP":
        return _unsupported_bmp(image, encoded)
    # Pillow keeps 8 bits per sample and compares the 16-bit transparent colour with them.
    if image.format == "PNG" and raw_mode(image) == "RGB;16B" and "transparency" in image.info:
        return "a PNG of 16 bits per sample with a transparent colour"
    return None


def unopened_kind(format_: str, encoded: bytes, error: Exception) -> str | None:
    """Names the variant of a `format_` image that Pillow did not open; None if it is broken."""
    if format_ == "JPEG":
        return _unopened_jpeg(encoded)
    if format_ == "BMP" and str(error).startswith("Unsupported BMP"):
        return f"a BMP with this {str(error).removeprefix('Unsupported BMP ')}"
    # On broken bytes Pillow's reader raises anything.
    with suppress(Exception):
        return unopened_tiff(encoded) if format_ == "TIFF" else None
    return None


def tile_size(image: ImageFile) -> tuple[int, int]:
    """Width and height of a TIFF's tiles in pixels; 0 x 0 without tiles."""
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    width, height = tags.get(TILE_WIDTH), tags.get(TILE_HEIGHT)
    return (width, height) if isinstance(width, int) and isinstance(height, int) else (0, 0)


def raw_mode(image: ImageFile) -> str:
    """Pillow's raw mode of an image that is not loaded yet: the packing of its pixels."""
    args = image.tile[0].args if image.tile else ""
    return args if isinstance(args, str) else str(args[0]) if args else ""


def _unopened_jpeg(encoded: bytes) -> str | None:
    found = frame(encoded)
    if found is None:
        return None
    code, bits, components = found
    if code == JPEG_LS_FRAME:
        return "JPEG-LS"
    if bits != JPEG_BITS:
        return f"a JPEG of {bits} bits per sample"
    return None if components in JPEG_COMPONENTS else f"a JPEG of {components} components"


def _unsupported_bmp(image: ImageFile, encoded: bytes) -> str | None:
    (header_size,) = struct.unpack_from("<L", encoded, 14)
    (bits,) = struct.unpack_from("<H", encoded, 24 if header_size == BMP_CORE_HEADER else 28)
    # With a palette of ordered greys, Pillow loses the bits per index.
    if raw_mode(image) == image.mode and bits != {"1": 1, "L": 8}.get(image.mode, bits):
        return f"a BMP of {bits} bits per pixel with a palette of {2 if image.mode == '1' else 'dark'} greys"
    bitfields = header_size >= BMP_ALPHA_HEADER and image.info.get("compression") == BMP_BITFIELDS
    if bitfields and bits == 16 and any(encoded[66:70]):
        return "a BMP of 16 bits per pixel with alpha"
    return None
