"""The preprocessing that a model may ask for: settings that work for every image, alone and in a batch.

The configuration is checked with it, and the handler checks `preprocessing.json` of its archive.
"""

import math
from collections.abc import Mapping
from typing import Any

# A tensor of one image of this size takes 201 MB.
MAX_EDGE = 4096


def check_preprocessing(settings: Mapping[str, Any]) -> None:
    """Passes settings under which every image gives a tensor of one and the same shape.

    settings: `resize`, `crop`, `mean`, `std` as in `image_transform`.

    Raises:
        ValueError: such settings are a mistake; the message names the value and what would be right.
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
    for name, least in (("mean", -math.inf), ("std", 0.0)):
        if not all(math.isfinite(value) and value > least for value in settings[name]):
            raise ValueError(
                f"{name} = {settings[name]}: each is a finite number" + (" above 0" if name == "std" else "")
            )


def input_size(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the network's input in pixels, of settings that `check_preprocessing` passed."""
    height, width = (settings["crop"],) * 2 if settings["crop"] else settings["resize"]
    return height, width


def resized_size(resize: int | tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Width and height to which torchvision's Resize brings an image of that (width, height)."""
    if not isinstance(resize, int):
        return resize[1], resize[0]
    width, height = size
    if width <= height:
        return resize, resize * height // width
    return resize * width // height, resize
