"""A checkpoint that suits the configured model and costs little: packing runs it on several batches."""

from pathlib import Path

import torch

from torchserve_gateway.settings.composition import as_override


class SmallNetwork(torch.nn.Module):
    """Ten logits per image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3)).repeat(1, 4)[:, :10]


def small_weights(directory: Path) -> str:
    """Writes it as `genre.pt`; returns the override that takes it."""
    checkpoint = directory / "genre.pt"
    torch.jit.save(torch.jit.script(SmallNetwork()), checkpoint)
    return as_override("model.weights.path", checkpoint)
