"""Makes a different image for every client, so that swapped answers are noticed."""

import io
from pathlib import Path

from PIL import Image

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


class NoImagesError(Exception):
    """The folder holds no image."""


def image_files(directory: Path) -> list[Path]:
    """The folder's images by name.

    Raises:
        NoImagesError: the folder holds no image.
    """
    files = sorted(file for file in directory.glob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise NoImagesError(f"{directory} holds no {', '.join(sorted(IMAGE_SUFFIXES))} file")
    return files


def client_images(directory: Path, clients: int) -> list[bytes]:
    """An encoded image per client: the files unchanged, then cropped more with every round.

    Raises:
        NoImagesError: the folder holds no image.
    """
    files = image_files(directory)
    return [_variant(files[index % len(files)], index // len(files)) for index in range(clients)]


def _variant(file: Path, turn: int) -> bytes:
    if turn == 0:
        return file.read_bytes()
    with Image.open(file) as image:
        rgb = image.convert("RGB")
    # 3 % a turn changes the probabilities visibly; the crop removes at most half.
    margin = min(0.03 * turn, 0.5)
    cropped = rgb.crop((int(rgb.width * margin), 0, rgb.width, rgb.height - int(rgb.height * margin / 2)))
    encoded = io.BytesIO()
    cropped.save(encoded, "JPEG", quality=90)
    return encoded.getvalue()
