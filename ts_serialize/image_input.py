"""From one request's image to an upright 8-bit RGB image, or to that request's own error.

Part of the model archive: imports only what TorchServe's own handlers import.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision import transforms

from ts_serialize.image_header import InputError, open_image, undecodable


@dataclass(frozen=True)
class Batch:
    """One batch between two steps of the handler.

    size: requests in the batch, N; positions: which of them `tensor` holds, in its order;
    tensor: float32 (len(positions), 3, H, W) before inference, logits (len(positions), classes) after it,
    None if no request could be decoded; failures: the other requests' errors by position.
    """

    size: int
    positions: list[int]
    tensor: torch.Tensor | None
    failures: dict[int, InputError]


def image_transform(settings: Mapping[str, Any]) -> transforms.Compose:
    """PIL RGB image -> float32 (3, H, W), normalised.

    settings: `resize` (shorter edge or [height, width]), `crop` (edge or None), `mean`, `std` per channel.
    """
    steps: list[Any] = [transforms.Resize(settings["resize"])]
    if settings["crop"]:
        steps.append(transforms.CenterCrop(settings["crop"]))
    steps += [transforms.ToTensor(), transforms.Normalize(settings["mean"], settings["std"])]
    return transforms.Compose(steps)


def decode_image(encoded: bytes, max_pixels: int) -> Image.Image:
    """Decodes the first frame, upright, as 8-bit RGB.

    Raises:
        InputError: as the subclass that fits, by the header alone where it tells; see `open_image`.
    """
    image = open_image(encoded, max_pixels)
    try:
        return to_rgb(ImageOps.exif_transpose(image))
    # Pillow's decoders raise whatever the broken bytes lead them to (OSError, SyntaxError, struct.error ...).
    except Exception as exc:
        raise undecodable(exc) from exc


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode to 8-bit RGB: transparency over white, 16-bit and float scaled instead of clipped."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float32)
        depth = _depth(image.mode, float(values.max(initial=0.0)))
        image = Image.fromarray((values.clip(0, depth) * (255.0 / depth)).round().astype(np.uint8))
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    return image.convert("RGB")


def _depth(mode: str, top: float) -> float:
    # "I" and "F" do not say their depth: 16-bit, 8-bit and 0..1 data are told apart by the largest value.
    if mode.startswith("I;16") or top > 255:
        return 65535.0
    return 255.0 if mode == "I" or top > 1 else 1.0
