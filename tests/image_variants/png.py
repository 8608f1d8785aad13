"""Every colour type and depth of PNG, with tRNS, interlaced and not."""

import struct
import zlib

import numpy as np

from tests.image_variants import ALPHA, COLOUR, GREY, HEIGHT, WIDTH, Variant, packed_rows, quantized, ramp

GREY_TYPE, RGB_TYPE, PALETTE_TYPE, GREY_ALPHA_TYPE, RGBA_TYPE = 0, 2, 3, 4, 6
DEPTHS = {
    GREY_TYPE: (1, 2, 4, 8, 16),
    RGB_TYPE: (8, 16),
    PALETTE_TYPE: (1, 2, 4, 8),
    GREY_ALPHA_TYPE: (8, 16),
    RGBA_TYPE: (8, 16),
}
SAMPLES = {
    GREY_TYPE: GREY,
    RGB_TYPE: COLOUR,
    PALETTE_TYPE: GREY,
    GREY_ALPHA_TYPE: np.concatenate([GREY, ALPHA], axis=-1),
    RGBA_TYPE: np.concatenate([COLOUR, ALPHA], axis=-1),
}
# Left, top, step right, step down of Adam7's passes.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def png_variants() -> dict[str, Variant]:
    variants = {}
    for colour_type, depths in DEPTHS.items():
        for bits in depths:
            for key_name, key in transparent(colour_type, bits).items():
                for interlaced in (False, True):
                    name = f"PNG type {colour_type}, {bits} bits{key_name}{', interlaced' * interlaced}"
                    variants[name] = Variant(png(colour_type, bits, key, interlaced=interlaced))
    return variants


def transparent(colour_type: int, bits: int) -> dict[str, bytes]:
    """tRNS chunks by what they say."""
    if colour_type == PALETTE_TYPE:
        return {"": b"", ", first clear": b"\0", ", second clear": b"\xff\0", ", half clear": b"\x80\x10"}
    if colour_type not in (GREY_TYPE, RGB_TYPE):
        return {"": b""}
    middle = quantized(SAMPLES[colour_type], bits)[HEIGHT // 2, WIDTH // 2]
    keys = {"": b"", ", tRNS": struct.pack(f">{len(middle)}H", *middle)}
    if bits == 16:
        # One off in the low byte, so it is no pixel's, and one that only its low byte has.
        keys[", tRNS one off"] = struct.pack(f">{len(middle)}H", middle[0] + 1, *middle[1:])
        keys[", tRNS of 8 bits"] = struct.pack(f">{len(middle)}H", *(middle >> np.uint64(8)))
    return keys


def png(colour_type: int, bits: int, key: bytes = b"", *, interlaced: bool = False) -> bytes:
    values = quantized(SAMPLES[colour_type], bits)
    rows = []
    for left, top, right, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        part = values[top::down, left::right]
        rows += [b"\0" + row for row in packed_rows(part, bits)] if part.size else []
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, colour_type, 0, 0, interlaced)
    chunks = [_chunk(b"IHDR", header)]
    if colour_type == PALETTE_TYPE:
        chunks.append(_chunk(b"PLTE", ramp(2**bits).tobytes()))
    if key:
        chunks.append(_chunk(b"tRNS", key))
    chunks += [_chunk(b"IDAT", zlib.compress(b"".join(rows))), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
