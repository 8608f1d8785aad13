"""Shrinks images to a byte budget: TorchServe takes at most 6.5 MB, and models use far fewer pixels."""

import io
import math

from PIL import Image, ImageOps

from gateway_client.errors import UnreadableImageError

# The smallest JPEG has about 600 bytes.
SMALLEST_BUDGET = 2048
QUALITIES = (90, 75)
# Default shrink factor per edge.
STEP = 0.9
# Limit of libjpeg.
LONGEST_EDGE = 65_500


def shrink(encoded: bytes, max_bytes: int, max_pixels: int) -> bytes:
    """Returns the image unchanged if it is within both limits, else a JPEG of its first frame.

    The JPEG is upright by EXIF, has transparency over white, keeps the proportions and is never enlarged.
    Unreadable content within max_bytes is returned unchanged: the gateway explains the error better.

    Raises:
        UnreadableImageError: the image is over max_bytes and cannot be decoded.
        ValueError: max_bytes is too small for any JPEG.
    """
    if max_bytes < SMALLEST_BUDGET:
        raise ValueError(
            f"max_bytes is {max_bytes}; no image is sure to fit into less than {SMALLEST_BUDGET}"
        )
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            if len(encoded) <= max_bytes and image.width * image.height <= max_pixels:
                return encoded
            return _fitted(image, max_bytes, max_pixels)
    # Pillow's decoders raise anything on broken bytes.
    except Exception as exc:
        if len(encoded) <= max_bytes:
            return encoded
        raise UnreadableImageError(
            f"the image has {len(encoded)} bytes, {max_bytes} are allowed, and it cannot be decoded: {exc}"
        ) from exc


def _fitted(image: Image.Image, max_bytes: int, max_pixels: int) -> bytes:
    """Shrinks until the JPEG fits.

    Terminates: each round shrinks by STEP or more, and a single pixel fits into SMALLEST_BUDGET.
    """
    scale = _largest_scale(image, max_pixels)
    # Lets the JPEG decoder skip detail that is scaled away.
    image.draft("RGB", (math.ceil(image.width * scale), math.ceil(image.height * scale)))
    upright = to_rgb(ImageOps.exif_transpose(image))
    # Pillow would write a comment, which does not shrink.
    upright.info = {}
    scale = _largest_scale(upright, max_pixels)
    while True:
        resized = _scaled(upright, scale)
        if resized.width * resized.height > max_pixels:
            # A line of pixels: its short edge is 1 already.
            scale *= STEP
            continue
        for quality in QUALITIES:
            jpeg = _jpeg(resized, quality)
            if len(jpeg) <= max_bytes:
                return jpeg
        scale *= min(STEP, math.sqrt(max_bytes / len(jpeg)))


def _largest_scale(image: Image.Image, max_pixels: int) -> float:
    by_pixels = math.sqrt(max_pixels / (image.width * image.height))
    return min(1.0, by_pixels, LONGEST_EDGE / max(image.size))


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    size = (max(1, int(image.width * scale)), max(1, int(image.height * scale)))
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts as the handler does: transparency over white, 16-bit and float scaled instead of clipped."""
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bit(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    values = image.convert("F")
    extrema = values.getextrema()
    top = extrema[1] if isinstance(extrema[1], float) else 0.0
    # Modes I and F have no defined depth.
    depth = (
        65535.0
        if image.mode.startswith("I;16") or top > 255
        else 255.0
        if image.mode == "I" or top > 1
        else 1.0
    )
    return values.point(lambda value: value * (255.0 / depth) + 0.5).convert("L")
