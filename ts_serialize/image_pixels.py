"""Pixels of a decoded image as a tensor.

Part of the model archive: imports only what TorchServe's own handlers import.
"""

import ctypes
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

# Pillow keeps a byte that has no meaning after red, green and blue.
STORED_CHANNELS = 4

# Of an image's pixels, which are read and never written.
warnings.filterwarnings("ignore", "The given NumPy array is not writ", UserWarning)


def pixels(image: Image.Image) -> torch.Tensor:
    """Copies an image to uint8 (C, H, W), channels last in memory."""
    values = torch.from_numpy(np.asarray(image))
    return values.view(image.height, image.width, -1).permute(2, 0, 1)


def stored_pixels(image: Image.Image) -> torch.Tensor:
    """Pixels of an RGB image as uint8 (4, H, W), channels last; the fourth channel has no meaning.

    Shares Pillow's memory, which is faster than a copy, and which torch resizes faster than three channels.
    An image that Pillow keeps in several blocks, of more than 16 MB, is copied to (3, H, W).
    """
    try:
        stored = _stored(image)
    # Of a Pillow that does not share its memory, then of an image in several blocks.
    except (AttributeError, ValueError):
        return pixels(image)
    return torch.from_numpy(stored).permute(2, 0, 1)


class _ArrowArray(ctypes.Structure):
    """`ArrowArray` of Arrow's C data interface, the format in which Pillow shares its memory."""


_ArrowArray._fields_ = [
    *((name, ctypes.c_int64) for name in ("length", "null_count", "offset", "n_buffers", "n_children")),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowArray))),
    *((name, ctypes.c_void_p) for name in ("dictionary", "release", "private_data")),
]

_address = ctypes.pythonapi.PyCapsule_GetPointer
_address.restype = ctypes.c_void_p
_address.argtypes = [ctypes.py_object, ctypes.c_char_p]


@dataclass(frozen=True)
class _Shared:
    """Memory of an image, which lives as long as an array of it."""

    owner: object
    """Pillow's capsule; frees the memory when it goes."""
    __array_interface__: dict[str, Any]
    """See numpy's array interface."""


def _stored(image: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    _, capsule = image.__arrow_c_array__()
    per_pixel = _ArrowArray.from_address(_address(capsule, b"arrow_array"))
    [values] = per_pixel.children[: per_pixel.n_children]
    shape = (image.height, image.width, STORED_CHANNELS)
    if values.contents.length != image.height * image.width * STORED_CHANNELS:
        raise ValueError(f"{values.contents.length} bytes for {shape}")
    interface = {"version": 3, "typestr": "|u1", "shape": shape, "data": (values.contents.buffers[1], True)}
    return np.asarray(_Shared(capsule, interface))
