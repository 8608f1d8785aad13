"""Every kind of image is decoded as a second decoder does it, or refused as unsupported by its header."""

import re

import numpy as np
import pytest

from tests.image_variants import Variant
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


@pytest.mark.parametrize("name", VARIANTS)
def test_a_kind_of_image_is_decoded_as_by_a_second_decoder_or_refused_by_its_header(name: str) -> None:
    variant = VARIANTS[name]
    try:
        check_header(variant.encoded, MAX_PIXELS)
    except UnsupportedFormatError as exc:
        assert exc.status == 415
        assert re.search(r"is not supported; send the image as an 8-bit RGB JPEG or PNG$", str(exc))
        return
    ours = np.asarray(decode_image(variant.encoded, MAX_PIXELS)).astype(float)
    theirs = decoded(variant.encoded) if variant.picture is None else variant.picture
    assert ours.shape == theirs.shape
    tolerance = next((most for part, most in TOLERANCES.items() if part in name), TOLERANCE)
    assert np.abs(ours - theirs).max() <= tolerance
