"""Input of a conversion."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Source:
    """The original network and its inputs."""

    network: torch.nn.Module
    """In evaluation mode, on the CPU; TorchScript unless the engine is torch_export."""
    checkpoint: Path
    """The file that it was loaded from."""
    shape: tuple[int, int, int]
    """Channels, height and width of the input."""
    batch_size: int
    """Largest batch in images; 1 for a network that takes an image at a time."""
    precision: str
    """Precision of the converted network."""
    calibration: Sequence[torch.Tensor]
    """float32 (C, H, W) each, normalised; empty if the precision is not int8."""

    def example(self) -> torch.Tensor:
        """float32 (N, C, H, W) to trace with: 2 images, so that no converter takes the batch for constant."""
        return torch.zeros(min(2, self.batch_size), *self.shape)
