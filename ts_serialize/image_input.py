"""Decodes an image to upright 8-bit RGB and to the network's input.

Part of the model archive: imports only what TorchServe's own handlers import.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from PIL.ImageFile import ImageFile

from ts_serialize.image_header import open_image, undecodable
from ts_serialize.image_kinds import raw_mode
from ts_serialize.preprocessing import resized_size

# Decoded at the size of the network's input itself, answers would differ by up to 0.16.
DECODED_EDGES = 2
# EXIF orientations that exchange width and height.
TURNED = (5, 6, 7, 8)
BILINEAR = Image.Resampling.BILINEAR
# 134 MB. Resizing a very long and thin image can take gigabytes.
MAX_RESIZED_PIXELS = 2**25
# 8-bit value of each 16-bit grey value.
EIGHT_BITS = (np.arange(65536) * (255 / 65535)).round().astype(np.uint8)


class ResizeAndCrop:
    """Resizes and crops as torchvision's Resize and CenterCrop, in bounded memory.

    Without torchvision, whose import takes more than a second and 160 MB of each worker.
    """

    def __init__(self, resize: int | tuple[int, int], crop: int | None) -> None:
        self._resize, self._crop = resize, crop

    def __call__(self, image: Image.Image) -> Image.Image:
        """Returns the image at the size of the network's input."""
        width, height = resized_size(self._resize, image.size)
        # Pillow resizes along the rows first, and keeps all columns meanwhile.
        if width * max(height, image.height) <= MAX_RESIZED_PIXELS:
            resized = image.resize((width, height), BILINEAR)
            left, top, size = self._middle(width, height)
            return resized.crop((left, top, left + size[0], top + size[1])) if self._crop else resized
        return self._crop_of_thin(image, width, height)

    def _middle(self, width: int, height: int) -> tuple[int, int, tuple[int, int]]:
        """Left, top and size of the crop of width x height."""
        size = (self._crop, self._crop) if self._crop else (width, height)
        return round((width - size[0]) / 2), round((height - size[1]) / 2), size

    def _crop_of_thin(self, image: Image.Image, width: int, height: int) -> Image.Image:
        """Computes the crop of the image resized to width x height, without resizing the rest."""
        left, top, size = self._middle(width, height)
        across, down = image.width / width, image.height / height
        columns = (left * across, (left + size[0]) * across)
        rows = (top * down, (top + size[1]) * down)
        if image.width * size[1] < size[0] * image.height:
            image = image.resize((image.width, size[1]), BILINEAR, (0, rows[0], image.width, rows[1]))
            return image.resize(size, BILINEAR, (columns[0], 0, columns[1], size[1]))
        image = image.resize((size[0], image.height), BILINEAR, (columns[0], 0, columns[1], image.height))
        return image.resize(size, BILINEAR, (0, rows[0], size[0], rows[1]))


def image_transform(settings: Mapping[str, Any]) -> Callable[[Image.Image], torch.Tensor]:
    """PIL RGB image -> float32 (C, H, W), normalised; C = 1, grey, for a `mean` and a `std` of length 1.

    settings: `resize` (shorter edge or [height, width]), `crop` (edge or None), `mean`, `std` per channel.
    """
    channels = len(settings["mean"])
    fitted = ResizeAndCrop(settings["resize"], settings["crop"])
    mean, std = (torch.tensor(settings[name], dtype=torch.float32)[:, None, None] for name in ("mean", "std"))

    def transform(image: Image.Image) -> torch.Tensor:
        image = fitted(image.convert("L") if channels == 1 else image)
        pixels = torch.from_numpy(np.array(image)).view(image.height, image.width, channels)
        return pixels.permute(2, 0, 1).contiguous().float().div_(255).sub_(mean).div_(std)

    return transform


def decode_image(encoded: bytes, max_pixels: int, resize: int | Sequence[int] | None = None) -> Image.Image:
    """Decodes the first frame, upright, as 8-bit RGB.

    resize: as in `image_transform`, if the image will be resized so. A large JPEG is then decoded at a half,
    a quarter or an eighth of its size, which takes a fraction of the time.

    Raises:
        InputError: the image cannot be served; the subclass tells why, see `open_image`.
    """
    image = open_image(encoded, max_pixels)
    try:
        if resize is not None and image.format == "JPEG":
            _scale_while_decoding(image, resize)
        _scale_transparent_grey(image)
        ImageOps.exif_transpose(image, in_place=True)
        return to_rgb(image)
    # On broken bytes Pillow's decoders raise anything (OSError, SyntaxError, struct.error ...).
    except Exception as exc:
        raise undecodable(exc) from exc


def _scale_while_decoding(image: ImageFile, resize: int | Sequence[int]) -> None:
    """Chooses the smallest scale of libjpeg that leaves DECODED_EDGES times the edges of `resize`."""
    turned = image.getexif().get(ExifTags.Base.Orientation) in TURNED
    width, height = image.size
    size = resized_size(resize, (height, width) if turned else (width, height))
    across, down = size[::-1] if turned else size
    image.draft(None, (DECODED_EDGES * across, DECODED_EDGES * down))


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts an image from `open_image` to 8-bit RGB: transparency over white, 16-bit grey scaled."""
    if image.mode.startswith("I;16"):
        image = _eight_bit_grey(image)
    elif image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    return image.convert("RGB")


def _eight_bit_grey(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    grey = Image.fromarray(EIGHT_BITS[values])
    transparent = image.info.get("transparency")
    if transparent is not None:
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey


def _scale_transparent_grey(image: ImageFile) -> None:
    """Scales PNG's transparent grey of 2 or 4 bits to 8 bits, as Pillow scales the pixels."""
    top = {"L;2": 3, "L;4": 15}.get(raw_mode(image))
    if image.format == "PNG" and top and "transparency" in image.info:
        image.info["transparency"] = (image.info["transparency"] & top) * 255 // top
