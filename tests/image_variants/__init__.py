"""One small picture in many kinds of every format that is served, and what a second decoder makes of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

# An odd width leaves bits over at the end of packed rows.
HEIGHT, WIDTH = 29, 37
_DOWN, _ACROSS = np.mgrid[0:HEIGHT, 0:WIDTH] / [[[HEIGHT - 1]], [[WIDTH - 1]]]
COLOUR: Samples = np.stack([_ACROSS, _DOWN, (_ACROSS + _DOWN) / 2], axis=-1)
"""Every channel another ramp, (HEIGHT, WIDTH, 3) of 0..1."""
GREY: Samples = COLOUR.mean(axis=-1, keepdims=True)
ALPHA: Samples = 0.25 + 0.75 * _ACROSS[..., None]


@dataclass(frozen=True)
class Variant:
    """A file, and its picture as (HEIGHT, WIDTH, 3) of 0..255 where no second decoder reads it."""

    encoded: bytes
    picture: Samples | None = None


def quantized(samples: Samples, bits: int) -> npt.NDArray[np.uint64]:
    """0..1 as unsigned integers of that many bits."""
    return (samples * (2.0**bits - 1)).round().astype(np.uint64)


def packed_rows(values: npt.NDArray[np.uint64], bits: int) -> list[bytes]:
    """Rows of (rows, columns, channels), as PNG and BMP pack them."""
    rows = values.reshape(len(values), -1)
    if bits == 16:
        return [row.astype(">u2").tobytes() for row in rows]
    as_bits = np.unpackbits(rows.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
    return [np.packbits(row).tobytes() for row in as_bits.reshape(len(rows), -1)]


def ramp(colours: int) -> npt.NDArray[np.uint8]:
    """A palette that is not grey, (colours, 3)."""
    up = np.linspace(0, 255, colours).round().astype(np.uint8)
    return np.stack([up, up[::-1], up], axis=-1)
