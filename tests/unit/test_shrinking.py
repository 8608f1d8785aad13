"""Whatever the image, what is sent fits; and what fits is sent as it is."""

import io

import numpy as np
import pytest
from gateway_client import UnreadableImageError, shrink
from gateway_client.shrinking import LONGEST_EDGE, SMALLEST_BUDGET
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

MODES = ("RGB", "RGBA", "L", "LA", "P", "CMYK", "1", "I;16", "I", "F")
ORIENTATION, TURNED_RIGHT = 0x0112, 6


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if mode == "I;16":
        return Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    return Image.fromarray(pixels).convert(mode)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def opened(encoded: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(encoded))
    image.load()
    return image


@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    mode=st.sampled_from(MODES),
    max_bytes=st.integers(SMALLEST_BUDGET, 60_000),
    max_pixels=st.integers(1, 100_000),
)
def test_it_fits_and_can_be_read_and_is_no_larger(
    width: int, height: int, mode: str, max_bytes: int, max_pixels: int
) -> None:
    encoded = saved(noise(width, height, mode), "TIFF")
    shrunk = shrink(encoded, max_bytes, max_pixels)
    image = opened(shrunk)
    assert len(shrunk) <= max_bytes
    assert image.width * image.height <= max(max_pixels, 1)
    assert image.width <= width
    assert image.height <= height
    if len(encoded) <= max_bytes and width * height <= max_pixels:
        assert shrunk == encoded


@pytest.mark.parametrize("budget", [2048, 20_000, 500_000])
def test_it_uses_the_budget(budget: int) -> None:
    assert len(shrink(saved(noise(1500, 1000), "PNG"), budget, 10**9)) > budget / 3


def test_proportions_and_colours_are_kept() -> None:
    halves = Image.new("RGB", (1200, 400), "red")
    halves.paste("blue", (600, 0, 1200, 400))
    small = opened(shrink(saved(halves, "BMP"), 30_000, 10**9))
    assert small.width / small.height == pytest.approx(3, rel=0.02)
    left, right = small.getpixel((5, 5)), small.getpixel((small.width - 5, 5))
    assert left == pytest.approx((254, 0, 0), abs=6)
    assert right == pytest.approx((0, 0, 254), abs=6)


def test_it_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED_RIGHT
    small = opened(shrink(saved(noise(900, 600), "JPEG", exif=exif, quality=95), 50_000, 10**9))
    assert small.width < small.height


def test_transparency_becomes_white() -> None:
    clear = Image.new("RGBA", (500, 500), (255, 0, 0, 0))
    assert opened(shrink(saved(clear, "TIFF"), 5000, 10**9)).getpixel((1, 1)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    grey = Image.fromarray(np.full((400, 400), 32768, dtype=np.uint16))
    assert opened(shrink(saved(grey, "TIFF"), 50_000, 10**9)).getpixel((1, 1)) == pytest.approx(
        (128,) * 3, abs=2
    )


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (300, 300), colour) for colour in ("red", "blue")]
    animated = saved(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    assert opened(shrink(animated, 5000, 10**9)).getpixel((1, 1)) == pytest.approx((254, 0, 0), abs=6)


def test_what_cannot_be_read_is_left_to_the_gateway_as_long_as_it_fits() -> None:
    assert shrink(b"no image", 5000, 10**9) == b"no image"
    with pytest.raises(UnreadableImageError, match="6000 bytes, 5000 are allowed"):
        shrink(b"x" * 6000, 5000, 10**9)


def test_half_an_image_over_the_budget_is_an_error() -> None:
    with pytest.raises(UnreadableImageError):
        shrink(saved(noise(300, 300), "PNG")[:100_000], 50_000, 10**9)


def test_a_budget_that_no_image_fits_into_is_refused() -> None:
    with pytest.raises(ValueError, match="2048"):
        shrink(saved(noise(10, 10), "PNG"), 100, 10**9)


def test_a_long_comment_does_not_keep_an_image_from_fitting() -> None:
    commented = saved(noise(300, 300), "JPEG", comment=b"x" * 60_000)
    assert len(shrink(commented, 20_000, 10**9)) <= 20_000


def test_a_comment_that_no_jpeg_can_hold_is_left_out() -> None:
    gif = saved(noise(300, 300).convert("P"), "GIF", comment=b"x" * 100_000)
    assert len(shrink(gif, 20_000, 10**9)) <= 20_000


@pytest.mark.parametrize("size", [(70_000, 3), (3, 70_000)])
def test_an_edge_longer_than_any_jpeg_has_is_shortened(size: tuple[int, int]) -> None:
    assert max(opened(shrink(saved(noise(*size), "PNG"), 500_000, 10**9)).size) <= LONGEST_EDGE
