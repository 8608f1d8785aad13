"""Small images in every format that is served."""

import io

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


def noise(size: tuple[int, int]) -> Image.Image:
    """RGB of that (width, height)."""
    values = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def encoded(image: Image.Image, format_: str = "PNG", **options: object) -> bytes:
    """The image as a file."""
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


SMALL = {name: encoded(Image.linear_gradient("L").resize((48, 64)).convert("RGB"), name) for name in FORMATS}
