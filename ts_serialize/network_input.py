"""Input of a classifier, and images to try the network with."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

SEED = 10


@dataclass(frozen=True)
class Expectation:
    """Requirements of the handler."""

    shape: tuple[int, int]
    """Height and width of the input in pixels."""
    mean: Sequence[float]
    """Mean of the normalisation, per channel."""
    std: Sequence[float]
    """Standard deviation of the normalisation, per channel."""
    classes: int
    """Number of logits."""
    batch_size: int
    """Largest batch."""
    outputs: str | None = None
    """Kind of the outputs, see `network_outputs`; None for any."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return (len(self.mean), *self.shape)


def images(expected: Expectation) -> torch.Tensor:
    """float32 (batch_size, C, H, W), normalised; images differ in brightness and contrast."""
    # Noise alone gives batch norm the same statistics in every image.
    channels, generator = len(expected.mean), torch.Generator().manual_seed(SEED)
    brightness = torch.rand((expected.batch_size, channels, 1, 1), generator=generator)
    contrast = torch.rand((expected.batch_size, 1, 1, 1), generator=generator)
    noise = torch.rand((expected.batch_size, channels, *expected.shape), generator=generator) - 0.5
    pixels = (brightness + contrast * noise).clamp(0, 1)
    mean, std = (torch.tensor(values).view(1, channels, 1, 1) for values in (expected.mean, expected.std))
    return (pixels - mean) / std
