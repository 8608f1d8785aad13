"""The network; the archive's model file, in which TorchServe wants a single class."""

import re
from collections.abc import Mapping
from typing import Any

from torchvision.models.densenet import DenseNet

# torchvision's own file of weights is older than its names of layers.
OLD_NAME = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.(\d+\..*)$")


class ImageClassifier(DenseNet):
    """DenseNet-161: maps float32 (N, 3, 224, 224) to logits (N, 1000)."""

    def __init__(self) -> None:
        super().__init__(growth_rate=48, block_config=(6, 12, 36, 24), num_init_features=96)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Loads weights under today's names of layers, or under those of torchvision's file."""
        renamed = {OLD_NAME.sub(r"\1\2", name): value for name, value in state_dict.items()}
        return super().load_state_dict(renamed, *args, **kwargs)
