"""Every kind of image becomes upright 8-bit RGB; a broken one fails with its own error."""

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from tests.encoded_images import FORMATS, encoded
from ts_serialize.image_header import InputError, UnsupportedFormatError
from ts_serialize.image_input import decode_image
from ts_serialize.image_transform import BILINEAR
from ts_serialize.preprocessing import decoded_for, resized_size

MAX_PIXELS = 1_000_000
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def corner(data: bytes) -> tuple[int, ...]:
    image = decode_image(data, MAX_PIXELS)
    assert image.mode == "RGB"
    pixel = image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return tuple(int(value) for value in pixel)


def close(pixel: tuple[int, ...], wanted: tuple[int, int, int], tolerance: int = 3) -> bool:
    return all(abs(one - other) <= tolerance for one, other in zip(pixel, wanted, strict=True))


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_keeps_its_colour(format_: str) -> None:
    assert close(corner(encoded(Image.new("RGB", (32, 48), RED), format_)), RED, tolerance=10)


def test_transparent_pixels_are_white_and_half_transparent_ones_half_white() -> None:
    assert corner(encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 0)))) == WHITE
    assert close(corner(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 128)))), (255, 127, 127))
    assert corner(encoded(Image.new("LA", (4, 4), (0, 0)))) == WHITE


def test_palette_images_with_and_without_transparency() -> None:
    palette = Image.new("RGB", (4, 4), GREEN).convert("P", palette=Image.Palette.ADAPTIVE)
    assert corner(encoded(palette)) == GREEN
    assert corner(encoded(palette, transparency=0)) == WHITE


def test_grey_one_bit_and_cmyk() -> None:
    assert corner(encoded(Image.new("L", (4, 4), 77))) == (77, 77, 77)
    assert corner(encoded(Image.new("1", (4, 4), 1))) == WHITE
    assert close(corner(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")), RED, tolerance=10)


@pytest.mark.parametrize(("value", "wanted"), [(0, 0), (65535, 255), (32768, 128)])
def test_16_bit_images_are_scaled_not_clipped(value: int, wanted: int) -> None:
    image = Image.fromarray(np.full((4, 4), value, dtype=np.uint16))
    assert corner(encoded(image)) == (wanted,) * 3
    assert corner(encoded(image, "TIFF")) == (wanted,) * 3


@pytest.mark.parametrize("outlier", [1.0, 1.02, 300.0, -9999.0, float("nan"), float("inf")])
@pytest.mark.parametrize("scale", [1, 255])
def test_a_float_tiff_is_refused_whatever_its_values(scale: int, outlier: float) -> None:
    """No tag says which number is white; a guess by the largest value lets one pixel change all others."""
    values = np.linspace(0, scale, 16, dtype=np.float32).reshape(4, 4)
    values[0, 0] = outlier
    with pytest.raises(UnsupportedFormatError, match="a TIFF of floating-point samples is not supported"):
        decode_image(encoded(Image.fromarray(values), "TIFF"), MAX_PIXELS)


def test_an_integer_tiff_of_32_bits_is_refused() -> None:
    with pytest.raises(UnsupportedFormatError, match="a TIFF of signed integer samples"):
        decode_image(encoded(Image.new("I", (4, 4), 100), "TIFF"), MAX_PIXELS)


def test_exif_rotation_is_applied() -> None:
    image = Image.new("RGB", (40, 20), RED)
    image.paste(BLUE, (20, 0, 40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying: to be shown turned a quarter clockwise
    data = encoded(image, "JPEG", exif=exif, quality=95)
    upright = decode_image(data, MAX_PIXELS)
    assert upright.size == (20, 40)
    assert close(corner(data), RED, tolerance=10)


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), BLUE)]
    data = encoded(Image.new("RGB", (4, 4), RED), "GIF", save_all=True, append_images=frames)
    assert corner(data) == RED


@pytest.mark.parametrize(
    "break_it", [lambda data: data[:-8], lambda data: data[:40] + b"\xff" * 40 + data[80:]]
)
def test_damage_never_escapes_as_another_exception(break_it: Callable[[bytes], bytes]) -> None:
    for format_ in FORMATS:
        with suppress(InputError):
            decode_image(break_it(encoded(Image.new("RGB", (64, 64), RED), format_)), MAX_PIXELS)


def photograph(size: tuple[int, int]) -> Image.Image:
    """Smooth colours with some detail."""
    down, across = np.mgrid[0 : size[1], 0 : size[0]] / max(size)
    waves = [np.sin(across * 9 + down * 5), np.cos(down * 11), np.sin((across + down) * 40) / 3]
    return Image.fromarray(np.stack([128 + 100 * wave for wave in waves], axis=2).astype(np.uint8))


LARGE = (900, 1400)
RESIZES = pytest.mark.parametrize("resize", [[192, 128], [96, 64], 200])


@RESIZES
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same(
    resize: int | list[int], options: dict[str, object]
) -> None:
    data = encoded(photograph(LARGE), "JPEG", quality=95, **options)
    full, scaled = decode_image(data, 2_000_000), decode_image(data, 2_000_000, resize)
    assert scaled.width < full.width
    width, height = resized_size(resize, full.size)
    assert scaled.width >= 2 * width
    assert scaled.height >= 2 * height
    pixels = [np.asarray(each.resize((width, height), BILINEAR), int) for each in (full, scaled)]
    assert np.abs(pixels[0] - pixels[1]).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_decoded_for_its_upright_size(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(photograph((1600, 400)), "JPEG", exif=exif)
    scaled = decode_image(data, MAX_PIXELS, [400, 100])
    upright = (400, 1600) if orientation >= 5 else (1600, 400)
    # Lying, a height of 400 needs all rows; upright, 100 x 400 is a quarter of the edges.
    assert scaled.size == ((200, 800) if orientation >= 5 else upright)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_jpegs_are_decoded_smaller_too(mode: str) -> None:
    data = encoded(Image.new("RGB", LARGE, (200, 200, 200)).convert(mode), "JPEG")
    scaled = decode_image(data, 2_000_000, [96, 64])
    assert (scaled.mode, scaled.width) == ("RGB", 225)
    assert close(scaled.getpixel((10, 10)), (200, 200, 200), tolerance=8)  # type: ignore[arg-type]


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "GIF"])
def test_other_formats_are_decoded_as_ever(format_: str) -> None:
    data = encoded(photograph((400, 600)), format_)
    assert decode_image(data, MAX_PIXELS, [96, 64]) == decode_image(data, MAX_PIXELS)


def test_a_small_jpeg_is_decoded_as_ever() -> None:
    data = encoded(photograph((250, 380)), "JPEG")
    assert decode_image(data, MAX_PIXELS, [192, 128]) == decode_image(data, MAX_PIXELS)


def test_a_jpeg_that_is_cut_off_fails_when_decoded_smaller() -> None:
    data = encoded(photograph(LARGE), "JPEG")
    with pytest.raises(InputError):
        decode_image(data[: len(data) // 2], 2_000_000, [96, 64])


def test_archives_without_the_setting_decode_at_full_size() -> None:
    assert decoded_for({"resize": [96, 64]}) is None
    assert decoded_for({"resize": [96, 64], "scaled_decoding": False}) is None
    assert decoded_for({"resize": [96, 64], "scaled_decoding": True}) == [96, 64]
