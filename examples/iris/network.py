"""The network, trained by train.py and packed as TorchScript."""

import torch
from torch import nn

MEASUREMENTS, HIDDEN, SPECIES = 4, 16, 3


class IrisNetwork(nn.Module):
    """Maps float32 (N, 4), centimetres in the order of the handler's FEATURES, to logits (N, 3)."""

    mean: torch.Tensor
    """Mean of the training flowers, float32 (4,)."""
    std: torch.Tensor
    """Their standard deviation, float32 (4,)."""

    def __init__(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.layers = nn.Sequential(nn.Linear(MEASUREMENTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, SPECIES))

    def forward(self, measurements: torch.Tensor) -> torch.Tensor:
        """Standardises the measurements and runs the layers."""
        logits: torch.Tensor = self.layers((measurements - self.mean) / self.std)
        return logits
