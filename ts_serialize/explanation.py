"""Which parts of an image speak for a class, found by covering them one after the other.

Occlusion, Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901. It needs no gradients, so that it works
with any TorchScript model, also an optimized one. Part of the model archive: imports only what TorchServe's
own handlers import.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from captum.attr import Occlusion

from ts_serialize.image_header import InputError

# Rows and columns; fewer for an input whose edges it does not divide.
GRID = 8
# Of a value, in an error.
SHOWN_CHARS = 100


class UnknownClassError(InputError):
    """The request asks for a class that the model does not know."""

    status = 400
    phrase = "Bad Request"
    type = "UnknownClassException"


def requested_class(row: Mapping[str, Any], labels: Sequence[str]) -> str | None:
    """The class in field `target` of a form or of JSON, TorchServe's convention; None: the most probable one.

    Raises:
        UnknownClassError: it is none of the labels.
    """
    body = row.get("data") or row.get("body")
    target = row.get("target", body.get("target", "") if isinstance(body, Mapping) else "")
    if isinstance(target, bytes | bytearray):
        target = target.decode(errors="replace")
    # A form sends what was left empty.
    if target == "":
        return None
    if target not in labels:
        # TorchServe resets the connection on which it refuses with a very long message.
        raise UnknownClassError(
            f"target = {str(target)[:SHOWN_CHARS]!r} is none of the classes {', '.join(labels)}"
        )
    return str(target)


def attributions(
    network: torch.nn.Module, image: torch.Tensor, index: int, batch_size: int
) -> list[list[float]]:
    """How far the logit of class `index` falls when a cell of the image is covered; rows from the top.

    image: float32 (3, H, W), normalised, so that 0, which covers, is the mean colour. The network runs once
    for every cell, on batches of at most `batch_size`.
    """
    cell = (3, *(math.ceil(edge / GRID) for edge in image.shape[1:]))
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
