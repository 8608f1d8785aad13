"""Recognizes variants of TIFF that Pillow cannot decode or decodes wrongly, by their tags.

Part of the model archive.
"""

import io
from collections.abc import Mapping
from typing import Any

from PIL.TiffImagePlugin import ImageFileDirectory_v2

WIDTH, HEIGHT, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
PLANAR_CONFIGURATION, EXTRA_SAMPLES, SAMPLE_FORMAT, YCBCR_SUBSAMPLING = 284, 338, 339, 530
STRIP_OFFSETS, TILE_OFFSETS, TILE_WIDTH, TILE_HEIGHT = 273, 324, 322, 323

JPEG = 7
UNCOMPRESSED, SEPARATE_PLANES, REVERSED_BITS, UNSIGNED, UNASSOCIATED_ALPHA = 1, 2, 2, 1, 2
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, YCBCR, LAB = 0, 1, 2, 6, 8
COLOUR_SPACES = {
    WHITE_IS_ZERO: "grey (0 is white)",
    BLACK_IS_ZERO: "grey",
    RGB: "RGB",
    3: "palette",
    5: "CMYK",
    YCBCR: "YCbCr",
    LAB: "CIELAB",
}
FOREIGN_COLOUR_SPACES = {
    4: "mask",
    9: "ICC L*a*b*",
    10: "ITU L*a*b*",
    32803: "CFA",
    32844: "LogL",
    34892: "raw",
}
# Known to Pillow and decoded by its libtiff; old-style JPEG (6) is many formats in one.
COMPRESSIONS = frozenset({UNCOMPRESSED, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32946, 34925, 50000})
FOREIGN_COMPRESSIONS = {34712: "JPEG 2000", 34887: "LERC", 50001: "WebP", 50002: "JPEG XL", 22610: "JPEG XR"}
SAMPLE_FORMATS = {2: "signed integer", 3: "floating-point", 4: "untyped", 5: "complex", 6: "complex"}
BITS = (1, 2, 4, 8, 16)
BIGTIFF, BIG_ENDIAN_BIGTIFF = b"II\x2b\0", b"MM\0\x2b"


def unsupported_tiff(tags: Mapping[int, Any]) -> str | None:
    """Names the variant of a TIFF with these tags; None if Pillow decodes it right."""
    if kind := _unsupported_samples(tags):
        return kind
    (bits,), compression = set(tags.get(BITS_PER_SAMPLE, (1,))), tags.get(COMPRESSION, UNCOMPRESSED)
    raw, colours = compression == UNCOMPRESSED, tags.get(PHOTOMETRIC, WHITE_IS_ZERO)
    reversed_bits = tags.get(FILL_ORDER) == REVERSED_BITS
    subsampled = tags.get(YCBCR_SUBSAMPLING, (2, 2)) != (1, 1)
    kinds = {
        "a TIFF of 16 bits per sample where 0 is white": colours == WHITE_IS_ZERO and bits == 16,
        "a TIFF of 8 reversed bits where 0 is white": colours == WHITE_IS_ZERO
        and bits == 8
        and reversed_bits,
        "a TIFF of CIELAB compressed with JPEG": colours == LAB and compression == JPEG,
        "an uncompressed TIFF of subsampled YCbCr": colours == YCBCR and raw and subsampled,
    }
    if kind := next((kind for kind, matches in kinds.items() if matches), None):
        return kind
    if tags.get(PLANAR_CONFIGURATION) == SEPARATE_PLANES:
        return _unsupported_planes(tags, bits, raw=raw)
    return None


def _unsupported_samples(tags: Mapping[int, Any]) -> str | None:
    compression, colours = tags.get(COMPRESSION, UNCOMPRESSED), tags.get(PHOTOMETRIC, WHITE_IS_ZERO)
    if compression not in COMPRESSIONS:
        return f"a TIFF compressed with {FOREIGN_COMPRESSIONS.get(compression, f'method {compression}')}"
    if foreign := set(tags.get(SAMPLE_FORMAT, (UNSIGNED,))) - {UNSIGNED}:
        # No tag defines white: 0..1, 0..255 and larger ranges are all in use.
        return f"a TIFF of {SAMPLE_FORMATS.get(min(foreign), 'unknown')} samples"
    bits = set(tags.get(BITS_PER_SAMPLE, (1,)))
    if len(bits) != 1 or not bits <= set(BITS):
        return f"a TIFF of {' and '.join(map(str, sorted(bits)))} bits per sample"
    if colours not in COLOUR_SPACES:
        return f"a TIFF in colour space {FOREIGN_COLOUR_SPACES.get(colours, colours)}"
    return None


def _unsupported_planes(tags: Mapping[int, Any], bits: int, *, raw: bool) -> str | None:
    colours, extra = tags.get(PHOTOMETRIC, WHITE_IS_ZERO), tuple(tags.get(EXTRA_SAMPLES, ()))
    if colours in (YCBCR, LAB):
        return f"a TIFF with separate planes, {_layout(tags)}"
    decoded_extra = (
        not extra or (extra == (UNASSOCIATED_ALPHA,) and colours == RGB) or not (raw or any(extra))
    )
    # Pillow unpacks uncompressed planes as whole bytes in normal bit order.
    whole_bytes = bits == 8 and colours != WHITE_IS_ZERO and tags.get(FILL_ORDER) != REVERSED_BITS
    if decoded_extra and (whole_bytes or not raw):
        return None
    return f"{'an uncompressed' if raw else 'a'} TIFF with separate planes, {_layout(tags)}"


def unopened_tiff(encoded: bytes) -> str | None:
    """Names the variant of a TIFF that Pillow did not open; None if its tags describe no image."""
    if encoded.startswith(BIG_ENDIAN_BIGTIFF):
        return "a big-endian BigTIFF"
    tags = ImageFileDirectory_v2(encoded[: 16 if encoded.startswith(BIGTIFF) else 8])
    file = io.BytesIO(encoded)
    file.seek(tags.next)
    tags.load(file)
    if not (WIDTH in tags and HEIGHT in tags and (STRIP_OFFSETS in tags or TILE_OFFSETS in tags)):
        return None
    return unsupported_tiff(tags) or f"a TIFF with {_layout(tags)}"


def _layout(tags: Mapping[int, Any]) -> str:
    colours = tags.get(PHOTOMETRIC, WHITE_IS_ZERO)
    bits = ", ".join(map(str, tags.get(BITS_PER_SAMPLE, (1,))))
    extra = ", ".join(map(str, tags.get(EXTRA_SAMPLES, ())))
    return f"{COLOUR_SPACES.get(colours, colours)} of {bits} bits" + (
        f", extra samples {extra}" if extra else ""
    )
