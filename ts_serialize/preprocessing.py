"""Checks preprocessing settings: every image must give a tensor of the same shape.

Used for the configuration, and by the handler for `preprocessing.json`. Part of the model archive.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

# An input of this height and width takes 201 MB.
MAX_EDGE = 4096
# Of the network's input: grey, or RGB.
RGB = 3
CHANNELS = (1, RGB)


def check_preprocessing(settings: Mapping[str, Any]) -> None:
    """Checks that every image gives a valid tensor of the same shape.

    settings: `resize`, `crop`, `mean`, `std` as in `image_transform`, and `gpu_decoding`.

    Raises:
        ValueError: the message names the wrong value and its remedy.
    """
    resize, crop = settings["resize"], settings["crop"]
    if crop is None and isinstance(resize, int):
        raise ValueError(
            f"without a crop, resize has to be [height, width] to make batches: resize = {resize} gives each "
            f"aspect ratio another shape; set resize: [{resize}, {resize}] or crop: {resize}"
        )
    edges = list(resize) if isinstance(resize, list | tuple) else [resize]
    for name, edge in [("resize", edge) for edge in edges] + [("crop", crop or 1)]:
        if not isinstance(edge, int) or not 0 < edge <= MAX_EDGE:
            raise ValueError(f"{name} = {edge}: an edge has 1 to {MAX_EDGE} pixels")
    if crop and crop > min(edges):
        raise ValueError(
            f"crop = {crop} is larger than resize = {resize}, so images would get black borders; "
            "crop at most the resized image"
        )
    if len(settings["mean"]) != len(settings["std"]) or len(settings["std"]) not in CHANNELS:
        raise ValueError(
            f"mean = {settings['mean']}, std = {settings['std']}: both have 3 numbers, for red, green and "
            "blue, or 1 for a network that takes grey images"
        )
    if settings.get("gpu_decoding") and len(settings["mean"]) != RGB:
        raise ValueError(
            f"gpu_decoding = true prepares RGB images, and mean = {settings['mean']} is for a network that "
            "takes grey images; set gpu_decoding: false"
        )
    for name, least in (("mean", -math.inf), ("std", 0.0)):
        if not all(math.isfinite(value) and value > least for value in settings[name]):
            raise ValueError(
                f"{name} = {settings[name]}: each is a finite number" + (" above 0" if name == "std" else "")
            )


def input_size(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the network's input in pixels, for settings that passed `check_preprocessing`."""
    height, width = (settings["crop"],) * 2 if settings["crop"] else settings["resize"]
    return height, width


def decoded_for(settings: Mapping[str, Any]) -> int | Sequence[int] | None:
    """The size that JPEG decoding may aim at; None decodes at full size, as older archives do."""
    resize: int | Sequence[int] = settings["resize"]
    return resize if settings.get("scaled_decoding") else None


def resized_size(resize: int | Sequence[int], size: tuple[int, int]) -> tuple[int, int]:
    """Width and height after torchvision's Resize of an image of that (width, height)."""
    if not isinstance(resize, int):
        return resize[1], resize[0]
    width, height = size
    if width <= height:
        return resize, resize * height // width
    return resize * width // height, resize
