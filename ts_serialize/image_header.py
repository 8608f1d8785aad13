"""Checks an image by its header: a kind that is served, within the limits of decoding work.

Decodes no pixel. Used by the gateway before it forwards an image and by the handler. Part of the model
archive: imports only Pillow and modules packed beside it (`handler_modules` in config/model/).
"""

import io
import sys
import warnings

from PIL import Image, PngImagePlugin, UnidentifiedImageError
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ts_serialize.foreign_formats import bytes_before, format_name, was_read_as_text
from ts_serialize.image_kinds import tile_size, unopened_kind, unsupported_kind
from ts_serialize.jpeg_markers import scans
from ts_serialize.request_error import RequestError
from ts_serialize.webp_header import is_webp, webp_size

# Pillow's other formats include readers that start programs (EPS) or have a history of bugs.
IMAGE_FORMATS = tuple(
    image_file.format
    for image_file in (JpegImageFile, PngImageFile, WebPImageFile, GifImageFile, BmpImageFile, TiffImageFile)
)

# Pieces that Pillow may read before the first pixel. Ordinary headers have 10 to 400; a hostile header has
# millions, and Pillow handles each in Python.
MAX_HEADER_READS = 4096
# Bytes of text that a PNG may unpack to; Pillow allows 64 MiB.
PngImagePlugin.MAX_TEXT_MEMORY = 4 * PngImagePlugin.MAX_TEXT_CHUNK
# A progressive JPEG decodes all its pixels once per scan, and a scan can be 50 bytes. The limit is the work
# of this many scans of the largest image.
MAX_SCANS = 50
# libpng's limit. Resizing takes memory per row and column.
MAX_EDGE = 1_000_000
# Pillow decodes run-length BMP in Python: per pixel the work of this many JPEG scans.
RUN_LENGTH_SCANS = 200

# Format that every client can send instead.
INSTEAD = "an 8-bit RGB JPEG or PNG"

# Broken metadata does not make an image unusable, and Python never frees the text of a warning.
warnings.filterwarnings("ignore", module="PIL")


class InputError(RequestError):
    """An image cannot be served."""

    type = "UndecodableImageException"


class NoImageError(InputError):
    """The request has no image where TorchServe's handlers look."""

    status = 400
    phrase = "Bad Request"
    type = "BadRequestException"


class UnsupportedFormatError(InputError):
    """The content is in none of `IMAGE_FORMATS`, or is a variant that cannot be decoded faithfully."""

    status = 415
    phrase = "Unsupported Media Type"
    type = "UnsupportedImageFormatException"


class TooManyPixelsError(InputError):
    """Decoding the image would take too much memory or time."""

    status = 413
    phrase = "Content Too Large"
    type = "TooManyPixelsException"


def open_image(encoded: bytes, max_pixels: int) -> ImageFile:
    """Opens an image and reads its header; bytes after the image are ignored.

    Raises:
        UnsupportedFormatError: the content is in none of `IMAGE_FORMATS`, or in a variant that is not served.
        TooManyPixelsError: width x height is above max_pixels, or decoding takes too many passes.
        InputError: the image is broken.
    """
    file = _HeaderFile(encoded)
    try:
        image = Image.open(file, formats=IMAGE_FORMATS)
    except Image.DecompressionBombError as exc:
        raise TooManyPixelsError(f"the image is too large to decode: {exc}") from exc
    except InputError:
        raise
    # On broken bytes Pillow's readers raise anything (OSError, KeyError, struct.error ...).
    except Exception as exc:
        raise _unopened(encoded, exc) from exc
    file.reads_left = sys.maxsize
    _check_pixels(*image.size, max_pixels)
    # libtiff decodes whole tiles, which may be larger than the image.
    _check_pixels(*tile_size(image), max_pixels)
    _check_scans(image, encoded, max_pixels)
    if kind := _kind(image, encoded):
        raise _unsupported(kind)
    return image


def check_header(encoded: bytes, max_pixels: int) -> None:
    """Checks an image as `open_image` does, but opens no WebP decoder.

    Raises:
        InputError: the image cannot be served; the subclass tells why.
    """
    if not is_webp(encoded):
        open_image(encoded, max_pixels)
    elif size := webp_size(encoded):
        _check_pixels(*size, max_pixels)
    else:
        raise _unopened(encoded, UnidentifiedImageError())


def undecodable(exc: Exception) -> InputError:
    """Turns Pillow's error into the request's error."""
    return InputError(f"the image cannot be decoded: {exc}")


class _HeaderFile(io.BytesIO):
    """An encoded image with a limited number of reads."""

    reads_left = MAX_HEADER_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads_left -= 1
        if self.reads_left < 0:
            raise InputError(f"the image cannot be decoded: its header has over {MAX_HEADER_READS} parts")
        return super().read(size)


def _kind(image: ImageFile, encoded: bytes) -> str | None:
    try:
        return unsupported_kind(image, encoded)
    # As in `open_image`.
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
