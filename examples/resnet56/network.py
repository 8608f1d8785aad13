"""The network; the archive's model file, in which TorchServe wants a single class."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from examples.resnet56.block import blocks

CLASSES = 10
# The paper's n: 6 n + 2 layers.
BLOCKS = 9
# Of a network that was trained on several GPUs.
PARALLEL = "module."


class ResNet56(nn.Module):
    """K. He et al., Deep Residual Learning for Image Recognition, 2015, section 4.2.

    Maps float32 (N, 3, 32, 32) to logits (N, 10).
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = blocks(16, 16, BLOCKS)
        self.layer2 = blocks(16, 32, BLOCKS)
        self.layer3 = blocks(32, 64, BLOCKS)
        self.linear = nn.Linear(64, CLASSES)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Runs the layers."""
        features = functional.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        logits: torch.Tensor = self.linear(features.mean(dim=(2, 3)))
        return logits

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Loads weights, also out of a checkpoint dictionary, and of a network on several GPUs."""
        weights = state_dict.get("state_dict", state_dict)
        named = {name.removeprefix(PARALLEL): value for name, value in weights.items()}
        return super().load_state_dict(named, *args, **kwargs)
