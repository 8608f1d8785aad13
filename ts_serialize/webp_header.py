"""Reads the size of a WebP without its decoder. Part of the model archive.

Pillow opens a WebP only with the decoder, which takes memory for two frames at once.
"""


def is_webp(encoded: bytes) -> bool:
    """Whether the file begins as a WebP."""
    return encoded[:4] + encoded[8:12] == b"RIFFWEBP"


def webp_size(encoded: bytes) -> tuple[int, int] | None:
    """Width and height in pixels; None for a header that is broken or longer than the file."""
    kind, width, height = encoded[12:16], 0, 0
    if kind == b"VP8X":
        width, height = _little_endian(encoded[24:27]) + 1, _little_endian(encoded[27:30]) + 1
    elif kind == b"VP8L":
        bits = _little_endian(encoded[21:25])
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (_little_endian(encoded[start : start + 2]) & 0x3FFF for start in (26, 28))
    # The last byte, if only padding, is often left out.
    if not width or not height or 8 + _little_endian(encoded[4:8]) > len(encoded) + 1:
        return None
    return width, height


def _little_endian(data: bytes) -> int:
    return int.from_bytes(data, "little")
