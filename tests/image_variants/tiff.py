"""Colour spaces, sample formats, layouts and compressions of TIFF."""

import io
import itertools
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from tests.image_variants import ALPHA, COLOUR, GREY, Samples, Variant, quantized
from tests.image_variants.second_decoder import decoded

BLACK = 1 - COLOUR.max(axis=-1, keepdims=True)
SAMPLES: dict[str, Samples] = {
    "minisblack": GREY,
    "miniswhite": 1 - GREY,
    "rgb": COLOUR,
    "palette": GREY,
    "separated": np.concatenate([(1 - COLOUR - BLACK) / np.maximum(1 - BLACK, 1e-9), BLACK], axis=-1),
    "ycbcr": COLOUR,
    "cielab": np.concatenate([0.2 + 0.6 * GREY, 0.1 * COLOUR[..., :2]], axis=-1),
}
KINDS = [("uint", bits) for bits in (1, 2, 4, 6, 8, 10, 12, 14, 16, 24, 32, 64)]
KINDS += [("int", bits) for bits in (8, 16, 32, 64)] + [("float", bits) for bits in (16, 32, 64)]
SERVED_KINDS = [("uint", bits) for bits in (1, 2, 4, 8, 16)]
EXTRA = (
    ("unspecified",),
    ("assocalpha",),
    ("unassalpha",),
    ("unassalpha", "unspecified"),
    ("unspecified", "unspecified"),
    ("unspecified", "unassalpha"),
)
COMPRESSIONS = (
    "none",
    "lzw",
    "zlib",
    "packbits",
    "jpeg",
    "zstd",
    "lzma",
    "webp",
    "ccitt_t6",
    "jpeg2000",
    "lerc",
)
MAX_PALETTE_BITS = 8
FILL_ORDER, PLANAR_CONFIGURATION, YCBCR_SUBSAMPLING = 266, 284, 530
PREDICTED = ("lzw", "zlib", "zstd", "lzma")


def sample_format_variants() -> dict[str, Variant]:
    """Colour spaces with all sample formats, layouts of the planes and byte orders."""
    variants: dict[str, Variant] = {}
    for space, (kind, bits), planar, order in itertools.product(SAMPLES, KINDS, ("contig", "separate"), "<>"):
        for compression in ("none", "lzw") if (kind, bits) in SERVED_KINDS else ("none",):
            _add(variants, space, kind, bits, planar, byteorder=order, compression=compression)
    return variants


def compression_variants() -> dict[str, Variant]:
    """Compressions, in tiles and in BigTIFF."""
    variants: dict[str, Variant] = {}
    for (space, bits), planar, compression in itertools.product(
        itertools.product(("minisblack", "rgb", "separated", "palette", "ycbcr", "cielab"), (1, 8, 16)),
        ("contig", "separate"),
        COMPRESSIONS,
    ):
        for layout in ({"tile": (16, 16)}, {"bigtiff": True}, {"bigtiff": True, "byteorder": ">"}):
            _add(variants, space, "uint", bits, planar, compression=compression, **layout)
        if compression in PREDICTED:
            _add(variants, space, "uint", bits, planar, compression=compression, predictor=True)
    return variants


def extra_sample_variants() -> dict[str, Variant]:
    """Alpha and other samples beside the colours."""
    variants: dict[str, Variant] = {}
    for space, bits, planar, extra in itertools.product(SAMPLES, (8, 16), ("contig", "separate"), EXTRA):
        for compression in ("none", "lzw"):
            _add(variants, space, "uint", bits, planar, compression=compression, extrasamples=extra)
    return variants


def rare_tag_variants() -> dict[str, Variant]:
    """Legal tags that tifffile does not write."""
    variants = {}
    greys = itertools.product(("minisblack", "miniswhite"), (1, 2, 4, 8, 16))
    for space, bits in (*greys, ("palette", 8), ("rgb", 8), ("rgb", 16)):
        for compression in ("none", "lzw"):
            if compression == "lzw" and bits in (2, 4):
                continue
            file = tiff(space, "uint", bits, compression=compression)
            name = f"TIFF {space}, {bits} bits, {compression}"
            if space != "rgb":
                one_plane = retagged(file, PLANAR_CONFIGURATION, 2)
                variants[f"{name}, one separate plane"] = Variant(one_plane, decoded(file))
            if compression == "none":
                reversed_bits = retagged(_with_reversed_bits(file), FILL_ORDER, 2)
                variants[f"{name}, reversed bits"] = Variant(reversed_bits, decoded(file))
    for subsampling in (0x00010001, 0x00020002, 0x00010002):
        file = tiff("ycbcr", "uint", 8)
        tagged = retagged(file, YCBCR_SUBSAMPLING, subsampling, count=2)
        variants[f"TIFF ycbcr, subsampled {subsampling:08x}"] = Variant(tagged, decoded(file))
    return variants


def retagged(encoded: bytes, tag: int, value: int, count: int = 1) -> bytes:
    """A little-endian TIFF with a SHORT tag more, or with another value of it."""
    (start,) = struct.unpack_from("<L", encoded, 4)
    (entries,) = struct.unpack_from("<H", encoded, start)
    fields = [encoded[start + 2 + 12 * i : start + 14 + 12 * i] for i in range(entries)]
    tags = {struct.unpack_from("<H", field)[0]: field for field in fields}
    tags[tag] = struct.pack("<HHLL", tag, 3, count, value)
    # A new directory at the end: entries may not move the data that others point to.
    directory = struct.pack("<H", len(tags)) + b"".join(tags[number] for number in sorted(tags)) + bytes(4)
    end = encoded + bytes(len(encoded) % 2)
    return end[:4] + struct.pack("<L", len(end)) + end[8:] + directory


def _with_reversed_bits(encoded: bytes) -> bytes:
    with tifffile.TiffFile(io.BytesIO(encoded)) as file:
        page = file.pages[0]
        strips = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    for offset, size in strips:
        strip = np.frombuffer(encoded[offset : offset + size], np.uint8)
        mirrored = np.packbits(np.unpackbits(strip[:, None], axis=1)[:, ::-1], axis=1).tobytes()
        encoded = encoded[:offset] + mirrored + encoded[offset + size :]
    return encoded


def _add(variants: dict[str, Variant], space: str, kind: str, bits: int, planar: str, **options: Any) -> None:
    said = [f"{name}={value}" for name, value in options.items() if value]
    # Not everything can be written.
    try:
        variants[f"TIFF {space}, {kind}{bits}, {planar} {' '.join(said)}"] = Variant(
            tiff(space, kind, bits, planar, **options)
        )
    except (ValueError, TypeError, KeyError, NotImplementedError, RuntimeError):
        return


def tiff(space: str, kind: str, bits: int, planar: str = "contig", **options: Any) -> bytes:
    if space == "palette" and bits > MAX_PALETTE_BITS:
        raise ValueError(f"a palette of {bits} bits")
    samples = SAMPLES[space]
    extra = options.pop("extrasamples", ())
    if "assocalpha" in extra:
        samples = samples * ALPHA
    samples = np.concatenate(
        [samples, *(ALPHA if "alpha" in name else 0.5 + 0 * ALPHA for name in extra)], axis=-1
    )
    values = _typed(samples, kind, bits)
    if values.shape[-1] == 1:
        values = values[..., 0]
    else:
        options["planarconfig"] = planar
        values = np.moveaxis(values, -1, 0) if planar == "separate" else values
    if extra:
        options["extrasamples"] = list(extra)
    if space == "palette":
        up = np.linspace(0, 65535, 2**bits).astype(np.uint16)
        options["colormap"] = np.stack([up, up[::-1], up])
    if bits not in (1, 8, 16, 32, 64):
        options["bitspersample"] = bits
    if options.get("compression") == "none":
        del options["compression"]
    if not options.get("tile"):
        options["rowsperstrip"] = 8
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric=space, metadata=None, **options)
    return file.getvalue()


def _typed(samples: Samples, kind: str, bits: int) -> npt.NDArray[Any]:
    if kind == "float":
        return samples.astype(f"f{bits // 8}")
    if kind == "int":
        return quantized(samples, bits - 1).astype(f"i{bits // 8}")
    if bits == 1:
        return quantized(samples, 1).astype(bool)
    size = next(size for size in (1, 2, 4, 8) if size * 8 >= bits)
    return quantized(np.minimum(samples, 1 - 1e-12 * (bits > 32)), bits).astype(f"u{size}")
