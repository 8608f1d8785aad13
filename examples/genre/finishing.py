"""Degrades a poster as print, scan and compression do."""

import io

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps


def finished(poster: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The RGB poster of unchanged size after random crop or border, tone, blur, grain and compression."""
    size = poster.size
    if rng.uniform() < 0.35:
        poster = _cropped(poster, rng.uniform(0.01, 0.05), rng)
    if rng.uniform() < 0.15:
        poster = _bordered(poster, rng.uniform(0.01, 0.04), rng)
    poster = ImageEnhance.Brightness(poster).enhance(rng.uniform(0.82, 1.15))
    poster = ImageEnhance.Contrast(poster).enhance(rng.uniform(0.8, 1.15))
    poster = ImageEnhance.Color(poster).enhance(rng.uniform(0.55, 1.2))
    if rng.uniform() < 0.3:
        poster = poster.filter(ImageFilter.GaussianBlur(rng.uniform(0.0005, 0.004) * size[1]))
    if rng.uniform() < 0.6:
        poster = _grained(poster, rng.uniform(2, 10), rng)
    if rng.uniform() < 0.6:
        poster = _compressed(poster, int(rng.integers(35, 92)))
    return poster


def _cropped(poster: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    width, height = poster.size
    left, top = rng.uniform(0, share) * width, rng.uniform(0, share) * height
    box = (left, top, left + (1 - share) * width, top + (1 - share) * height)
    return poster.resize(poster.size, Image.Resampling.BILINEAR, box)


def _bordered(poster: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    edge = round(share * poster.height)
    inner = (max(1, poster.width - 2 * edge), max(1, poster.height - 2 * edge))
    colour = (255, 255, 255) if rng.uniform() < 0.5 else (10, 10, 10)
    framed = ImageOps.expand(poster.resize(inner, Image.Resampling.BILINEAR), edge, colour)
    return framed.resize(poster.size)


def _grained(poster: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    # Grain of a fixed number of cells looks the same on a large and on a small print of one poster.
    cells = rng.normal(0, strength, (300, 200)).astype(np.float32)
    noise = np.asarray(Image.fromarray(cells).resize(poster.size, Image.Resampling.BILINEAR))
    grained = np.asarray(poster, dtype=np.float32) + noise[:, :, np.newaxis]
    return Image.fromarray(np.clip(grained, 0, 255).astype(np.uint8))


def _compressed(poster: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    poster.save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as reopened:
        return reopened.convert("RGB")
