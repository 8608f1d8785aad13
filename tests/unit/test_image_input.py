"""Every kind of image becomes upright 8-bit RGB; a broken one fails with its own error."""

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from tests.encoded_images import FORMATS, encoded
from ts_serialize.image_header import InputError
from ts_serialize.image_input import decode_image

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


def XX() -> None:
    values = np.array([[0.5, 1.0], [0.0, 0.0]], dtype=np.float32)
    assert corner(encoded(Image.fromarray(values), "TIFF")) == (128,) * 3


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
