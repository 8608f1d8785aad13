"""The network; the archive's model file, in which TorchServe wants a single class."""

import torch
from torch import nn


class DigitNetwork(nn.Module):
    """Maps float32 (N, 1, 28, 28), ink 1 on paper 0, to logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 5 * 5, 64),
            nn.ReLU(),
            nn.Dropout(0.25),
            nn.Linear(64, 10),
        )

    def forward(self, digits: torch.Tensor) -> torch.Tensor:
        """Runs the layers."""
        logits: torch.Tensor = self.layers(digits)
        return logits
