"""Every kind of image is decoded as a second decoder does it, or refused as unsupported by its header."""

import numpy as np
import pytest

from tests.image_variants.bmp import bmp_variants
from tests.image_variants.others import other_variants
from tests.image_variants.png import png_variants
from tests.image_variants.second_decoder import decoded
from tests.image_variants.tiff import tiff_variants
from ts_serialize.image_header import UnsupportedFormatError, check_header
from ts_serialize.image_input import decode_image

MAX_PIXELS = 1_000_000
VARIANTS = bmp_variants() | png_variants() | other_variants() | tiff_variants()
# Of 255: what rounding at 8 bits, another conversion of a colour space and another JPEG decoder differ by.
TOLERANCE = 3
TOLERANCES = {"BMP 16 bits": 9, "cielab": 6}
# What people send; the refusals above would pass without a single image served.
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


@pytest.mark.parametrize("name", VARIANTS)
def test_a_kind_of_image_is_decoded_as_by_a_second_decoder_or_refused_by_its_header(name: str) -> None:
    variant = VARIANTS[name]
    try:
        check_header(variant.encoded, MAX_PIXELS)
    except UnsupportedFormatError:
        return
    ours = np.asarray(decode_image(variant.encoded, MAX_PIXELS)).astype(float)
    theirs = decoded(variant.encoded) if variant.picture is None else variant.picture
    assert ours.shape == theirs.shape
    tolerance = next((most for part, most in TOLERANCES.items() if part in name), TOLERANCE)
    assert np.abs(ours - theirs).max() <= tolerance


@pytest.mark.parametrize("name", COMMON)
def test_a_common_kind_is_served(name: str) -> None:
    check_header(VARIANTS[name].encoded, MAX_PIXELS)


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
        check_header(VARIANTS[name].encoded, MAX_PIXELS)
    assert caught.value.status == 415
    assert kind in str(caught.value)
    assert str(caught.value).endswith("is not supported; send the image as an 8-bit RGB JPEG or PNG")
