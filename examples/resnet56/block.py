"""Residual blocks. Beside the network, because TorchServe wants a single class in a model file."""

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Two convolutions and a shortcut without parameters, the paper's option A.

    Maps float32 (N, inputs, H, W) to (N, outputs, H / stride, W / stride).
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.padding = (outputs - inputs) // 2

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Adds the convolutions' result to the images, subsampled, with channels of zeros."""
        residual = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(images)))))
        subsampled = images[:, :, :: self.stride, :: self.stride]
        padded = functional.pad(subsampled, (0, 0, 0, 0, self.padding, self.padding))
        return functional.relu(padded + residual)


def blocks(inputs: int, outputs: int, count: int) -> nn.Sequential:
    """Chains blocks; the first changes the channels and subsamples by the same factor."""
    first = Block(inputs, outputs, stride=outputs // inputs)
    return nn.Sequential(first, *(Block(outputs, outputs, stride=1) for _ in range(count - 1)))
