"""Depths, palettes, headers, bit fields and run lengths of BMP."""

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tests.image_variants import (
    ALPHA,
    COLOUR,
    GREY,
    HEIGHT,
    WIDTH,
    Samples,
    Variant,
    packed_rows,
    quantized,
    ramp,
)

CORE_HEADER, INFO_HEADER = 12, 40
HEADERS = (40, 52, 56, 64, 108, 124)
RLE8, RLE4, BITFIELDS, JPEG, PNG = 1, 2, 3, 4, 5
FIELDS: dict[int, tuple[tuple[int, ...], ...]] = {
    16: (
        (0xF800, 0x7E0, 0x1F),
        (0x7C00, 0x3E0, 0x1F),
        (0xF00, 0xF0, 0xF),
        (0x1F, 0x7E0, 0xF800),
        (0xF00, 0xF0, 0xF, 0xF000),
        (0x7C00, 0x3E0, 0x1F, 0x8000),
    ),
    32: (
        (0xFF0000, 0xFF00, 0xFF),
        (0xFF, 0xFF00, 0xFF0000),
        (0xFF000000, 0xFF0000, 0xFF00),
        (0x3FF00000, 0xFFC00, 0x3FF),
        (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
        (0xFF00, 0xFF0000, 0xFF000000, 0xFF),
    ),
}


def bmp_variants() -> dict[str, Variant]:
    return {**_palette_variants(), **_true_colour_variants(), **_field_variants(), **_run_length_variants()}


def bmp(
    bits: int,
    pixels: bytes,
    *,
    compression: int = 0,
    header: int = INFO_HEADER,
    down: bool = False,
    palette: npt.NDArray[np.uint8] | None = None,
    masks: Sequence[int] = (),
) -> bytes:
    colours, table = 0, b""
    if palette is not None:
        table = np.pad(palette[:, ::-1], ((0, 0), (0, header != CORE_HEADER))).tobytes()
        colours = len(palette)
    if header == CORE_HEADER:
        fields = struct.pack("<LHHHH", header, WIDTH, HEIGHT, 1, bits)
    else:
        height = -HEIGHT if down else HEIGHT
        fields = struct.pack("<LllHHLLllLL", 40, WIDTH, height, 1, bits, compression, 0, 0, 0, colours, 0)
        fields = struct.pack("<L", header) + fields[4:]
        fields += struct.pack(f"<{len(masks)}L", *masks).ljust(header - INFO_HEADER, b"\0")
    offset = 14 + len(fields) + len(table)
    return b"BM" + struct.pack("<LHHL", offset + len(pixels), 0, 0, offset) + fields + table + pixels


def _rows(rows: list[bytes], *, down: bool = False) -> bytes:
    return b"".join(row.ljust(-(-len(row) // 4) * 4, b"\0") for row in (rows if down else rows[::-1]))


def _palette_variants() -> dict[str, Variant]:
    variants = {}
    for bits in (1, 2, 4, 8):
        greys = np.linspace(0, 255, 2**bits).round().astype(np.uint8)[:, None].repeat(3, axis=1)
        palettes = {"colours": ramp(2**bits), "greys": greys}
        palettes |= {
            "black and white": greys[[0, -1]],
            "dark greys": np.arange(2**bits, dtype=np.uint8)[:, None].repeat(3, 1),
        }
        for name, palette in palettes.items():
            indices = (GREY * (len(palette) - 1)).round().astype(np.uint64)
            rows = packed_rows(indices, bits)
            for header in (INFO_HEADER, CORE_HEADER, 124):
                if header == CORE_HEADER and len(palette) < 2**bits:
                    continue
                file = bmp(bits, _rows(rows), header=header, palette=palette.astype(np.uint8))
                picture = palette[indices[..., 0].astype(int)].astype(float)
                variants[f"BMP {bits} bits, {name}, header {header}"] = Variant(file, picture)
    return variants


def _true_colour_variants() -> dict[str, Variant]:
    blue_first = quantized(COLOUR, 8)[..., ::-1]
    with_alpha = np.concatenate([blue_first, quantized(ALPHA, 8)], axis=-1)
    variants = {}
    for down in (False, True):
        for header in HEADERS:
            name = f"header {header}{', top down' * down}"
            for bits, values in ((24, blue_first), (32, with_alpha)):
                pixels = _rows(packed_rows(values, 8), down=down)
                variants[f"BMP {bits} bits, {name}"] = Variant(bmp(bits, pixels, header=header, down=down))
            pixels = _rows(_fields((0x7C00, 0x3E0, 0x1F), 16), down=down)
            variants[f"BMP 16 bits, {name}"] = Variant(bmp(16, pixels, header=header, down=down))
    return variants


def _field_variants() -> dict[str, Variant]:
    variants = {}
    for bits, all_masks in FIELDS.items():
        for masks in all_masks:
            alpha = ALPHA if len(masks) > 3 else np.ones_like(ALPHA)
            for header in (INFO_HEADER, 52, 56, 108, 124):
                # A shorter header has no mask of alpha.
                if len(masks) > 3 and header < 56:
                    continue
                pixels = _rows(_fields(masks, bits))
                file = bmp(bits, pixels, compression=BITFIELDS, header=header, masks=masks)
                name = f"BMP {bits} bits, fields {', '.join(map(hex, masks))}, header {header}"
                variants[name] = Variant(file, _over_white(COLOUR, alpha))
    return variants


def _run_length_variants() -> dict[str, Variant]:
    variants = {}
    for bits, compression in ((8, RLE8), (4, RLE4)):
        indices = quantized(GREY, bits)[..., 0].astype(int)
        # Runs of one pixel; an end of line behind each row.
        shift = 8 - bits
        runs = b"".join(b"".join(bytes((1, v << shift)) for v in row) + b"\0\0" for row in indices[::-1])
        for name, palette in (("colours", ramp(2**bits)), ("greys", ramp(2**bits)[:, [0, 0, 0]])):
            file = bmp(bits, runs + b"\0\1", compression=compression, palette=palette)
            variants[f"BMP run lengths of {bits} bits, {name}"] = Variant(
                file, palette[indices].astype(float)
            )
    anything = bytes(100)
    for compression, bits in ((JPEG, 24), (PNG, 24), (11, 32), (BITFIELDS, 1), (0, 64)):
        file = bmp(bits, anything, compression=compression, header=64)
        variants[f"BMP {bits} bits, compression {compression}"] = Variant(file, COLOUR * 255)
    return variants


def _fields(masks: Sequence[int], bits: int) -> list[bytes]:
    pixels = np.zeros((HEIGHT, WIDTH), dtype=np.uint64)
    for mask, channel in zip(
        masks, np.moveaxis(np.concatenate([COLOUR, ALPHA], axis=-1), -1, 0), strict=False
    ):
        lowest = (mask & -mask).bit_length() - 1
        pixels |= quantized(channel, (mask >> lowest).bit_length()) << np.uint64(lowest)
    return [row.astype(f"<u{bits // 8}").tobytes() for row in pixels]


def _over_white(colour: Samples, alpha: Samples) -> Samples:
    return (colour * alpha + 1 - alpha) * 255
