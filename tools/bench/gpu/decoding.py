"""JPEG decoding and preprocessing by the handler on the CPU, and in batches on a device."""

from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import v2

from ts_serialize.image_input import decode_image
from ts_serialize.image_transform import image_transform

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
    """All on the device: nvJPEG decodes a batch, torchvision prepares each image; plain JPEGs alone."""
    prepared = v2.Compose(
        [
            v2.ToDtype(torch.float32, scale=True),
            v2.Resize(settings["resize"], antialias=True),
            *([v2.CenterCrop(settings["crop"])] if settings["crop"] else []),
            v2.Normalize(settings["mean"], settings["std"]),
        ]
    )

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
