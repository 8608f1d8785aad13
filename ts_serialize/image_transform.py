"""Turns a decoded image into the network's input as torchvision's transforms do.

Part of the model archive: imports only what TorchServe's own handlers import.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch.nn.functional import interpolate

from ts_serialize.image_pixels import pixels, stored_pixels
from ts_serialize.preprocessing import RGB, resized_size

BILINEAR = Image.Resampling.BILINEAR
# 134 MB. Resizing a very long and thin image can take gigabytes.
MAX_RESIZED_PIXELS = 2**25
# torch may resize a copy of the image, of 7 bytes per pixel.
MAX_COPIED_PIXELS = 2**23
# torch's code for other processors is slower than Pillow's.
VECTORS = ("AVX2", "AVX512")


class ResizeAndCrop:
    """Resizes and crops as torchvision's Resize and CenterCrop, in bounded memory.

    With AVX2, torch resizes RGB images, three times as fast as Pillow; values differ by 1 of 255 at most.
    """

    def __init__(self, resize: int | Sequence[int], crop: int | None) -> None:
        self._resize, self._crop = resize, crop
        self._vectorized = torch.backends.cpu.get_cpu_capability() in VECTORS

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """Returns uint8 (C, H, W) at the size of the network's input."""
        width, height = resized_size(self._resize, image.size)
        if self.is_thin(image.size):
            return pixels(self._crop_of_thin(image, width, height))
        return self._cropped(self._resized(image, width, height))

    def is_thin(self, size: tuple[int, int]) -> bool:
        """Whether an image of this width and height takes too much memory to be resized as a whole."""
        width, height = resized_size(self._resize, size)
        # Both libraries resize along the rows first, and keep all columns meanwhile.
        return width * max(height, size[1]) > MAX_RESIZED_PIXELS

    def of_pixels(self, values: torch.Tensor) -> torch.Tensor:
        """Resizes and crops float32 (C, H, W) on its device; the image is not thin."""
        height, width = values.shape[1:]
        return self._cropped(_interpolated(values, *resized_size(self._resize, (width, height))))

    def _cropped(self, resized: torch.Tensor) -> torch.Tensor:
        height, width = resized.shape[1:]
        left, top = self._offsets(width, height)
        crop = self._crop or max(width, height)
        return resized[:, top : top + crop, left : left + crop]

    def _resized(self, image: Image.Image, width: int, height: int) -> torch.Tensor:
        small = image.width * image.height <= MAX_COPIED_PIXELS
        if not (self._vectorized and small and image.mode == "RGB"):
            return pixels(image.resize((width, height), BILINEAR))
        return _interpolated(stored_pixels(image), width, height)[:RGB]

    def _offsets(self, width: int, height: int) -> tuple[int, int]:
        if not self._crop:
            return 0, 0
        return round((width - self._crop) / 2), round((height - self._crop) / 2)

    def _crop_of_thin(self, image: Image.Image, width: int, height: int) -> Image.Image:
        """Computes the crop of the image resized to width x height, without resizing the rest."""
        size = (self._crop, self._crop) if self._crop else (width, height)
        left, top = self._offsets(width, height)
        across, down = image.width / width, image.height / height
        columns = (left * across, (left + size[0]) * across)
        rows = (top * down, (top + size[1]) * down)
        if image.width * size[1] < size[0] * image.height:
            image = image.resize((image.width, size[1]), BILINEAR, (0, rows[0], image.width, rows[1]))
            return image.resize(size, BILINEAR, (columns[0], 0, columns[1], size[1]))
        image = image.resize((size[0], image.height), BILINEAR, (columns[0], 0, columns[1], image.height))
        return image.resize(size, BILINEAR, (0, rows[0], size[0], rows[1]))


class Normalize:
    """Normalises values of pixels by `mean` and `std` of the settings."""

    def __init__(self, settings: Mapping[str, Any], device: torch.device | None = None) -> None:
        self._mean, self._std = (
            torch.tensor(settings[key], device=device).view(-1, 1, 1) for key in ("mean", "std")
        )

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Changes and returns float32 (..., C, H, W), from 0..255."""
        return values.div_(255).sub_(self._mean).div_(self._std)


def image_transform(settings: Mapping[str, Any]) -> Callable[[Image.Image], torch.Tensor]:
    """PIL RGB image -> float32 (C, H, W), normalised; C = 1, grey, for a `mean` and a `std` of length 1.

    settings: `resize` (shorter edge or [height, width]), `crop` (edge or None), `mean`, `std` per channel.
    """
    normalize = Normalize(settings)
    resize_and_crop = ResizeAndCrop(settings["resize"], settings["crop"])
    mode = "L" if len(settings["mean"]) == 1 else "RGB"

    def transform(image: Image.Image) -> torch.Tensor:
        # Pillow copies an image that has the mode already.
        pixels = resize_and_crop(image if image.mode == mode else image.convert(mode))
        # `to` alone would keep channels last in memory, and each batch would be reordered.
        network_input = pixels.to(torch.float32, memory_format=torch.contiguous_format)
        return normalize(network_input)

    return transform


def _interpolated(values: torch.Tensor, width: int, height: int) -> torch.Tensor:
    return interpolate(values[None], (height, width), mode="bilinear", antialias=True)[0]
