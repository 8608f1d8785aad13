"""Every kind of image is decoded as a second decoder does it, or refused as unsupported by its header."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from tests.image_variants import Variant
from tests.image_variants.bmp import bmp_variants
from tests.image_variants.others import other_variants
from tests.image_variants.png import png_variants
from tests.image_variants.second_decoder import decoded
from tests.image_variants.tiff import (
    compression_variants,
    extra_sample_variants,
    rare_tag_variants,
    sample_format_variants,
)
from ts_serialize.image_header import InputError, UnsupportedFormatError, check_header
from ts_serialize.image_input import decode_image

MAX_PIXELS = 1_000_000
FAMILIES: dict[str, Callable[[], dict[str, Variant]]] = {
    "BMP": bmp_variants,
    "PNG": png_variants,
    "JPEG, GIF and WebP": other_variants,
    "TIFF, sample formats": sample_format_variants,
    "TIFF, compressions": compression_variants,
    "TIFF, extra samples": extra_sample_variants,
    "TIFF, rare tags": rare_tag_variants,
}
"""Encoders of hundreds of small files each; a test of each file would cost more than the file."""
# Of 255: differences by rounding to 8 bits, by colour conversion and between JPEG decoders.
TOLERANCE = 3
TOLERANCES = {"BMP 16 bits": 9, "cielab": 6}
# Kinds that people send: a gateway that refuses every image would pass the other tests.
COMMON = (
    "JPEG, grey",
    "JPEG, 4:2:0",
    "JPEG, progressive",
    "JPEG, CMYK",
    "PNG type 0, 16 bits, tRNS",
    "PNG type 2, 8 bits, tRNS",
    "PNG type 6, 16 bits, interlaced",
    "BMP 24 bits, header 40",
    "BMP run lengths of 8 bits, colours",
    "GIF transparent",
    "WebP lossy, alpha",
    "TIFF rgb, uint16, contig byteorder=< compression=lzw",
    "TIFF separated, uint8, contig byteorder=< compression=none",
    "TIFF rgb, uint8, contig compression=none extrasamples=('assocalpha',)",
)


@cache
def variants(family: str) -> dict[str, Variant]:
    return FAMILIES[family]()


def kind_of_image(name: str) -> bytes:
    return next(variants(family)[name].encoded for family in FAMILIES if name in variants(family))


def difference(name: str, variant: Variant) -> str | None:
    """How our picture differs from the second decoder's; None: it does not, or the header is refused."""
    try:
        check_header(variant.encoded, MAX_PIXELS)
    except UnsupportedFormatError:
        return None
    try:
        ours = np.asarray(decode_image(variant.encoded, MAX_PIXELS)).astype(float)
    except InputError as exc:
        return f"the header is accepted, decoding fails: {exc}"
    theirs = decoded(variant.encoded) if variant.picture is None else variant.picture
    if ours.shape != theirs.shape:
        return f"shape {ours.shape}, not {theirs.shape}"
    tolerance = next((most for part, most in TOLERANCES.items() if part in name), TOLERANCE)
    most = np.abs(ours - theirs).max()
    return f"a sample differs by {most:.0f}" if most > tolerance else None


@pytest.mark.parametrize("family", FAMILIES)
def test_every_kind_is_decoded_as_by_a_second_decoder_or_refused_by_its_header(family: str) -> None:
    found = {name: difference(name, variant) for name, variant in variants(family).items()}
    assert len(found) > 20
    assert {name: text for name, text in found.items() if text} == {}


@pytest.mark.parametrize("name", COMMON)
def test_a_common_kind_is_served(name: str) -> None:
    check_header(kind_of_image(name), MAX_PIXELS)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (
            "TIFF rgb, uint16, separate byteorder=< compression=none",
            "separate planes, RGB of 16, 16, 16 bits",
        ),
        ("TIFF separated, uint16, separate byteorder=< compression=none", "separate planes, CMYK of 16"),
        ("TIFF minisblack, uint12, contig byteorder=< compression=none", "a TIFF of 12 bits per sample"),
        ("TIFF minisblack, float64, contig byteorder=< compression=none", "a TIFF of floating-point samples"),
        ("BMP 16 bits, fields 0xf00, 0xf0, 0xf, header 40", "a BMP with this bitfields layout"),
        ("PNG type 2, 16 bits, tRNS", "a PNG of 16 bits per sample with a transparent colour"),
        ("JPEG, 12 bits", "a JPEG of 12 bits per sample"),
    ],
)
def test_a_refusal_says_what_is_unsupported_and_what_to_send(name: str, kind: str) -> None:
    with pytest.raises(UnsupportedFormatError) as caught:
        check_header(kind_of_image(name), MAX_PIXELS)
    assert caught.value.status == 415
    assert kind in str(caught.value)
    assert str(caught.value).endswith("is not supported; send the image as an 8-bit RGB JPEG or PNG")
