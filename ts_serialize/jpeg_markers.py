"""Reads the markers of a JPEG file up to the end of its first image. Part of the model archive."""

import re
from collections.abc import Iterator
from itertools import islice

END_OF_IMAGE = 0xD9
START_OF_SCAN = 0xDA
JPEG_LS_FRAME = 0xF7
# C4 (Huffman tables), C8 (reserved) and CC (arithmetic coding) lie between the codes of frames.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {JPEG_LS_FRAME}
# Bounds the steps in Python; no encoder writes more.
MAX_SEGMENTS = 16_384

# Without a segment: 00 (a stuffed FF of the compressed data), FF (padding), 01 and D0 to D7 (restarts).
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")


def segments(encoded: bytes) -> Iterator[tuple[int, int]]:
    """Code and offset of each segment of the first image; a segment begins with its length."""
    position = 2
    while found := _MARKER.search(encoded, position):
        position = found.end()
        code = encoded[position - 1]
        if code == END_OF_IMAGE:
            return
        yield code, position
        position += int.from_bytes(encoded[position : position + 2], "big")


def scans(encoded: bytes, allowed: int) -> int:
    """Number of scans of the first image: passes over its pixels.

    Exact only above `allowed`. Below, start-of-scan bytes in the thumbnail or after the image count too:
    counting bytes is several times faster than walking over segments.
    """
    at_most = encoded.count(bytes((0xFF, START_OF_SCAN)))
    if at_most <= allowed:
        return at_most
    codes = [code for code, _ in islice(segments(encoded), MAX_SEGMENTS)]
    return at_most if len(codes) == MAX_SEGMENTS else codes.count(START_OF_SCAN)


def frame(encoded: bytes) -> tuple[int, int, int] | None:
    """Code, bits per sample and components of the first frame; None if the file ends before it."""
    for code, position in islice(segments(encoded), MAX_SEGMENTS):
        if code in FRAMES and position + 8 <= len(encoded):
            return code, encoded[position + 2], encoded[position + 7]
    return None
