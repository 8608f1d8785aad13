"""JPEG decoding and preprocessing by the handler on the CPU, and in batches on a device."""

from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch.nn.functional import interpolate
from torchvision.io import ImageReadMode, decode_jpeg

from ts_serialize.image_input import decode_image
from ts_serialize.image_transform import image_transform
from ts_serialize.preprocessing import resized_size

TURNS = 7
WARM_UPS = 2

Prepare = Callable[[Sequence[bytes]], torch.Tensor]


def by_handler(settings: dict[str, Any], device: torch.device) -> Prepare:
    """The handler's way: decoded and prepared one by one on the CPU, then moved to the device."""
    transform = image_transform(settings)

    def prepare(encoded: Sequence[bytes]) -> torch.Tensor:
        inputs = [transform(decode_image(each, settings["max_pixels"])) for each in encoded]
        return torch.stack(inputs).to(device)

    return prepare


def on_device(settings: dict[str, Any], device: torch.device) -> Prepare:
    """All on the device: nvJPEG decodes a batch, torch resizes each image; plain JPEGs alone."""
    mean, std = (torch.tensor(settings[key], device=device).view(-1, 1, 1) for key in ("mean", "std"))
    crop = settings["crop"]

    def prepared(image: torch.Tensor) -> torch.Tensor:
        width, height = resized_size(settings["resize"], (image.shape[2], image.shape[1]))
        resized = interpolate(image[None].float(), (height, width), mode="bilinear", antialias=True)[0]
        if crop:
            left, top = round((width - crop) / 2), round((height - crop) / 2)
            resized = resized[:, top : top + crop, left : left + crop]
        return resized.div_(255).sub_(mean).div_(std)

    def prepare(encoded: Sequence[bytes]) -> torch.Tensor:
        files = [torch.frombuffer(bytearray(each), dtype=torch.uint8) for each in encoded]
        decoded = decode_jpeg(files, mode=ImageReadMode.RGB, device=device)
        return torch.stack([prepared(image) for image in decoded])

    return prepare


def ms_per_image(prepare: Prepare, encoded: Sequence[bytes], device: torch.device) -> float:
    """Milliseconds of an image, by the clock, in a batch of all."""
    times_s = []
    for _ in range(WARM_UPS + TURNS):
        start = perf_counter()
        prepare(encoded)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times_s.append(perf_counter() - start)
    return median(times_s[WARM_UPS:]) / len(encoded) * 1000
