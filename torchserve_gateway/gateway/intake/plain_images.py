"""Recognizes ordinary JPEG, PNG and WebP images in a few microseconds, without a decoder.

A file that is not recognized is not wrong: `image_check` then looks at it with Pillow, in a thread.
"""

import re
import zlib
from itertools import islice

from ts_serialize.image_header import MAX_SCANS
from ts_serialize.jpeg_markers import START_OF_SCAN
from ts_serialize.webp_header import is_webp, webp_size

# Parts of a header before the pixels; cameras and editors write fewer.
MAX_PARTS = 32
MAX_EDGE = 65_535

_JPEG_START, _PNG_START = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
# A search of bytes would take three times as long. It goes through all of the file.
_SCANS = re.compile(bytes((0xFF, START_OF_SCAN)))
# JFIF, EXIF, ICC profiles, Adobe's colour transform, tables, comments: the least length that Pillow reads.
_JPEG_PARTS = {0xE0: 16, 0xE1: 2, 0xE2: 16, 0xEE: 14, 0xDB: 67, 0xC4: 2, 0xDD: 2, 0xFE: 2}
# Baseline, extended and progressive, all Huffman-coded.
_PROGRESSIVE = 0xC2
_JPEG_FRAMES = frozenset({0xC0, 0xC1, _PROGRESSIVE})
_TABLES = 0xDB
# Bytes of a quantization table of 8 bits, with its head.
_TABLE_BYTES = 65
_ICC = b"ICC_PROFILE\0"
# By the least length that Pillow reads.
_PNG_PARTS = {
    b"gAMA": 4,
    b"cHRM": 32,
    b"sRGB": 1,
    b"sBIT": 0,
    b"pHYs": 9,
    b"bKGD": 0,
    b"tIME": 0,
    b"PLTE": 0,
}
_PNG_HEADER = b"\0\0\0\x0dIHDR"
# Bit depth, colour type, compression, filter, interlacing: grey, RGB, palette and RGBA of 8 bits.
_PNG_KINDS = frozenset({b"\x08\x00\0\0\0", b"\x08\x02\0\0\0", b"\x08\x03\0\0\0", b"\x08\x06\0\0\0"})


def is_plain_image(encoded: bytes, max_pixels: int) -> bool:
    """Whether a file is certainly of a kind that is served, within the limits of decoding work."""
    if encoded.startswith(_JPEG_START):
        size = _jpeg_size(encoded)
    elif encoded.startswith(_PNG_START):
        size = _png_size(encoded)
    else:
        size = webp_size(encoded) if is_webp(encoded) else None
    return size is not None and 0 < size[0] * size[1] <= max_pixels and max(size) <= MAX_EDGE


def _jpeg_size(encoded: bytes) -> tuple[int, int] | None:
    """Width and height; None for a JPEG that is not plain."""
    size, position = None, 2
    single_scan_of = 0
    for _ in range(MAX_PARTS):
        head = encoded[position : position + 16]
        if len(head) < 16 or head[0] != 0xFF:
            return None
        code, length = head[1], head[2] << 8 | head[3]
        end = position + 2 + length
        if code == START_OF_SCAN:
            return size if end <= len(encoded) and (head[4] == single_scan_of or _has_few(encoded)) else None
        if code in _JPEG_FRAMES and size is None and _is_plain_frame(head, length):
            size = head[7] << 8 | head[8], head[5] << 8 | head[6]
            # Without progression, a first scan of all components is the only scan: libjpeg decodes no more,
            # and the handler's own check refuses a file with countless scans.
            single_scan_of = head[9] if code != _PROGRESSIVE else 0
        elif length < _JPEG_PARTS.get(code, MAX_EDGE + 1) or (code == 0xE2 and head[4:] != _ICC):
            # Pillow looks for further images in another segment of this code.
            return None
        elif code == _TABLES and not _are_plain_tables(encoded[position + 4 : end]):
            return None
        position = end
    return None


def _has_few(encoded: bytes) -> bool:
    """Whether so few scans begin that `image_header` allows them for every size."""
    return next(islice(_SCANS.finditer(encoded), MAX_SCANS, None), None) is None


def _is_plain_frame(head: bytes, length: int) -> bool:
    bits, components = head[4], head[9]
    return bits == 8 and components in (1, 3) and length == 8 + 3 * components


def _are_plain_tables(tables: bytes) -> bool:
    """Whether they are whole quantization tables of 8 bits."""
    return len(tables) % _TABLE_BYTES == 0 and max(tables[::_TABLE_BYTES]) < 16


def _png_size(encoded: bytes) -> tuple[int, int] | None:
    """Width and height; None for a PNG that is not plain."""
    if encoded[8:16] != _PNG_HEADER or encoded[24:29] not in _PNG_KINDS or not _is_whole(encoded, 8, 29):
        return None
    position = 33
    for _ in range(MAX_PARTS):
        length, kind = int.from_bytes(encoded[position : position + 4]), encoded[position + 4 : position + 8]
        if kind == b"IDAT":
            return int.from_bytes(encoded[16:20]), int.from_bytes(encoded[20:24])
        end = position + 8 + length
        if length < _PNG_PARTS.get(kind, length + 1) or not _is_whole(encoded, position, end):
            return None
        position = end + 4
    return None


def _is_whole(encoded: bytes, begin: int, end: int) -> bool:
    """Whether a chunk has its checksum behind it."""
    return zlib.crc32(encoded[begin + 4 : end]) == int.from_bytes(encoded[end : end + 4])
