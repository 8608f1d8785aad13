"""Explains a prediction by occlusion: the parts of an image that speak for a class.

Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901. Occlusion needs no gradients, so it works with any
TorchScript model, optimized models included. Part of the model archive: imports only what TorchServe's
own handlers import.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

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
    rows, columns = (_edges(edge) for edge in image.shape[1:])
    cells = [(slice(None), row, column) for row in rows for column in columns]
    falls: list[float] = []
    with torch.inference_mode():
        logit = network(image[None])[0, index]
        for start in range(0, len(cells), batch_size):
            part = cells[start : start + batch_size]
            covered = image.repeat(len(part), 1, 1, 1)
            for each, cell in zip(covered, part, strict=True):
                each[cell] = 0
            falls += (logit - network(covered)[:, index]).tolist()
    return [falls[start : start + len(columns)] for start in range(0, len(falls), len(columns))]


def _edges(length: int) -> list[slice]:
    """Cells of the grid along an edge."""
    size = math.ceil(length / GRID)
    return [slice(start, start + size) for start in range(0, length, size)]
