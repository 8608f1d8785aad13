"""From one request to the header of its image: a kind that we serve, and not too much to decode.

Decodes no pixel. The gateway checks with it what it forwards, and the model archive holds it for the
handler, so it imports only Pillow and what `handler_modules` in config/model/ packs beside it.
"""

import io
import sys
import warnings
from collections.abc import Mapping
from typing import Any

from PIL import Image, PngImagePlugin, UnidentifiedImageError
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ts_serialize.base64_text import decoded, is_text
from ts_serialize.foreign_formats import bytes_before, format_name, was_read_as_text
from ts_serialize.image_kinds import tile_size, unopened_kind, unsupported_kind
from ts_serialize.jpeg_markers import scans

# Pillow knows dozens more, some of which start other programs (EPS) or have a history of bugs.
IMAGE_FORMATS = tuple(
    image_file.format
    for image_file in (JpegImageFile, PngImageFile, WebPImageFile, GifImageFile, BmpImageFile, TiffImageFile)
)

# Pieces that Pillow may read of a file before the first pixel. An ordinary header has 10 to 400; millions
# fit into one request, and Pillow handles each of them in Python.
MAX_HEADER_READS = 4096
# Bytes of text that a PNG may unpack to; Pillow allows 64 MiB.
PngImagePlugin.MAX_TEXT_MEMORY = 4 * PngImagePlugin.MAX_TEXT_CHUNK
# A progressive JPEG goes over all its pixels once a scan, and 50 bytes are enough for a scan. Allowed is
# the work of this many scans of the largest image.
MAX_SCANS = 50
# libpng's own limit. Resizing takes memory for each row and column of the image.
MAX_EDGE = 1_000_000
# Pillow decodes run-length BMP in Python: as much work per pixel as this many scans of a JPEG.
RUN_LENGTH_SCANS = 200

# What everybody can send in place of a kind that is not served.
INSTEAD = "an 8-bit RGB JPEG or PNG"

# Broken metadata is no reason to refuse an image, and Python keeps each warning's text for ever.
warnings.filterwarnings("ignore", module="PIL")


class InputError(Exception):
    """One request of the batch cannot be answered; its neighbours can.

    status and phrase: of this request's HTTP response; type: TorchServe's `type` key in the error body.
    """

    status = 422
    phrase = "Unprocessable Entity"
    type = "UndecodableImageException"


class NoImageError(InputError):
    """The request carries no image where TorchServe's handlers look for one."""

    status = 400
    phrase = "Bad Request"
    type = "BadRequestException"


class UnsupportedFormatError(InputError):
    """Not an image in one of `IMAGE_FORMATS`, or a kind of it that cannot be decoded faithfully."""

    status = 415
    phrase = "Unsupported Media Type"
    type = "UnsupportedImageFormatException"


class TooManyPixelsError(InputError):
    """Decoding the image would take more memory or time than a worker should spend on one request."""

    status = 413
    phrase = "Content Too Large"
    type = "TooManyPixelsException"


def image_bytes(row: Mapping[str, Any]) -> bytes:
    """The encoded image of one request: a raw body, multipart field `data` or `body`, or a key of JSON.

    It may be base64, in JSON and as text alike; see base64_text.py.

    Raises:
        NoImageError: there is none, or it is not valid base64.
    """
    value = row.get("data") or row.get("body")
    if isinstance(value, Mapping):
        row, value = value, value.get("data") or value.get("body")
    if isinstance(value, bytes | bytearray) and is_text(value):
        value = value.decode(errors="replace")
    if isinstance(value, str) and value:
        try:
            value = decoded(value)
        except ValueError as exc:
            raise NoImageError(f"the text in the request is not base64 of an image: {exc}") from exc
    if not isinstance(value, bytes | bytearray) or not value:
        names = ", ".join(sorted(str(name)[:50] for name in row if row[name])[:10]) or "an empty body"
        raise NoImageError(
            "no image in the request: send it as the raw body, as multipart field 'data', "
            f'or as JSON {{"data": "<base64>"}}; got {names}'
        )
    return bytes(value)


def open_image(encoded: bytes, max_pixels: int) -> ImageFile:
    """The image with its header read; what follows the image in `encoded` is of no account.

    Raises:
        UnsupportedFormatError: not one of `IMAGE_FORMATS`, told by the content, or a kind that is not served.
        TooManyPixelsError: width x height above max_pixels, or too many passes over them.
        InputError: such a format, but broken.
    """
    file = _HeaderFile(encoded)
    try:
        image = Image.open(file, formats=IMAGE_FORMATS)
    except Image.DecompressionBombError as exc:
        raise TooManyPixelsError(f"the image is too large to decode: {exc}") from exc
    except InputError:
        raise
    # Pillow's readers raise whatever the broken bytes lead them to (OSError, KeyError, struct.error ...).
    except Exception as exc:
        raise _unopened(encoded, exc) from exc
    file.reads_left = sys.maxsize
    _check_pixels(*image.size, max_pixels)
    # Of a tiled image, libtiff decodes a whole tile, however little of it the image has.
    _check_pixels(*tile_size(image), max_pixels)
    _check_scans(image, encoded, max_pixels)
    if kind := _kind(image, encoded):
        raise _unsupported(kind)
    return image


def check_header(encoded: bytes, max_pixels: int) -> None:
    """Raises what `open_image` would, as far as the header tells, without what only decoding needs.

    Raises:
        InputError: as the subclass that fits.
    """
    if encoded[:4] + encoded[8:12] == b"RIFFWEBP":
        _check_webp(encoded, max_pixels)
    else:
        open_image(encoded, max_pixels)


def undecodable(exc: Exception) -> InputError:
    """Pillow's error as the request's."""
    return InputError(f"the image cannot be decoded: {exc}")


class _HeaderFile(io.BytesIO):
    """An encoded image of which only so many pieces can be read."""

    reads_left = MAX_HEADER_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads_left -= 1
        if self.reads_left < 0:
            raise InputError(f"the image cannot be decoded: its header has over {MAX_HEADER_READS} parts")
        return super().read(size)


def _kind(image: ImageFile, encoded: bytes) -> str | None:
    try:
        return unsupported_kind(image, encoded)
    # As above: of broken bytes.
    except Exception as exc:
        raise undecodable(exc) from exc


def _unopened(encoded: bytes, exc: Exception) -> InputError:
    format_ = _begins_as(encoded)
    if format_ is None:
        return UnsupportedFormatError(_not_an_image(encoded))
    if kind := unopened_kind(format_, encoded, exc):
        return _unsupported(kind)
    if isinstance(exc, UnidentifiedImageError):
        return InputError(f"the image cannot be decoded: it begins as {format_}, but is broken or cut off")
    return undecodable(exc)


def _unsupported(kind: str) -> InputError:
    return UnsupportedFormatError(f"{kind} is not supported; send the image as {INSTEAD}")


def _begins_as(encoded: bytes) -> str | None:
    for name in IMAGE_FORMATS:
        accept = Image.OPEN[name][1]
        if accept and accept(encoded[:16]):
            return name
    return None


def _not_an_image(encoded: bytes) -> str:
    served = ", ".join(IMAGE_FORMATS)
    before = bytes_before(encoded)
    if before and (format_ := _begins_as(encoded[before:])):
        return f"the {format_} begins after {before} bytes of byte-order mark or white space; leave them out"
    if was_read_as_text(encoded):
        return f"the {len(encoded)} bytes are an image that was read or sent as text, which destroys it"
    name = format_name(encoded)
    return f"the {len(encoded)} bytes are {f'{name}, ' if name else ''}not an image in one of {served}"


def _check_webp(encoded: bytes, max_pixels: int) -> None:
    """Of WebP, Pillow has no header without the decoder, which takes memory for two frames at once."""
    kind, width, height = encoded[12:16], 0, 0
    if kind == b"VP8X":
        width, height = _little_endian(encoded[24:27]) + 1, _little_endian(encoded[27:30]) + 1
    elif kind == b"VP8L":
        bits = _little_endian(encoded[21:25])
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (_little_endian(encoded[start : start + 2]) & 0x3FFF for start in (26, 28))
    # A last byte that only pads is often left out.
    if not width or not height or 8 + _little_endian(encoded[4:8]) > len(encoded) + 1:
        raise _unopened(encoded, UnidentifiedImageError())
    _check_pixels(width, height, max_pixels)


def _little_endian(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise TooManyPixelsError(f"the image has {width} x {height} pixels, at most {max_pixels} are allowed")
    if max(width, height) > MAX_EDGE:
        raise TooManyPixelsError(f"the image has {width} x {height} pixels, an edge at most {MAX_EDGE}")


def _check_scans(image: ImageFile, encoded: bytes, max_pixels: int) -> None:
    allowed = MAX_SCANS * max_pixels // (image.width * image.height)
    passes = 1
    if image.format in ("JPEG", "MPO"):
        passes = scans(encoded, allowed)
    elif image.tile and image.tile[0].codec_name == "bmp_rle":
        passes = RUN_LENGTH_SCANS
    if passes > allowed:
        raise TooManyPixelsError(
            f"decoding {image.width} x {image.height} pixels is the work of {passes} scans, at most "
            f"{allowed} are allowed for this size; save the image as a baseline JPEG or a PNG"
        )
