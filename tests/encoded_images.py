"""Small images in every format that is served."""

import io

from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


def encoded(image: Image.Image, format_: str = "PNG", **options: object) -> bytes:
    """The image as a file."""
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


SMALL = {name: encoded(Image.linear_gradient("L").resize((48, 64)).convert("RGB"), name) for name in FORMATS}
