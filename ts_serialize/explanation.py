"""Explains a prediction by occlusion: the parts of an image that speak for a class.

Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901. Occlusion needs no gradients, so it works with any
TorchScript model, optimized models included. Part of the model archive: imports only what TorchServe's
own handlers import.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from captum.attr import Occlusion

from ts_serialize.image_header import InputError

# Rows and columns of the grid; fewer if it does not divide the edges of the input.
GRID = 8
# Characters of a value in an error message.
SHOWN_CHARS = 100


class UnknownClassError(InputError):
    """The request names a class that the model does not have."""

    status = 400
    phrase = "Bad Request"
    type = "UnknownClassException"


def requested_class(row: Mapping[str, Any], labels: Sequence[str]) -> str | None:
    """Class in field `target` of a form or of JSON, as TorchServe does; None for the most probable class.

    Raises:
        UnknownClassError: it is not a label.
    """
    body = row.get("data") or row.get("body")
    target = row.get("target", body.get("target", "") if isinstance(body, Mapping) else "")
    if isinstance(target, bytes | bytearray):
        target = target.decode(errors="replace")
    # Forms send empty fields.
    if target == "":
        return None
    if target not in labels:
        # TorchServe resets the connection when an error message is very long.
        raise UnknownClassError(
            f"target = {str(target)[:SHOWN_CHARS]!r} is none of the classes {', '.join(labels)}"
        )
    return str(target)


def attributions(
    network: torch.nn.Module, image: torch.Tensor, index: int, batch_size: int
) -> list[list[float]]:
    """Drop of the logit of class `index` when a cell of the image is covered, by row from the top and column.

    image: float32 (C, H, W), normalised, so that the covering value 0 is the mean colour. The network runs
    once per cell, in batches of at most `batch_size`.
    """
    cell = (image.shape[0], *(math.ceil(edge / GRID) for edge in image.shape[1:]))
    with torch.inference_mode():
        falls = Occlusion(network).attribute(
            image.unsqueeze(0),
            sliding_window_shapes=cell,
            strides=cell,
            target=index,
            perturbations_per_eval=batch_size,
        )
    grid: list[list[float]] = falls[0, 0, :: cell[1], :: cell[2]].tolist()
    return grid
