"""A program of torch.export. Part of the model archive: imports only torch."""

import json
from pathlib import Path
from typing import Self

import torch

BF16 = "bf16"


class TorchExportNetwork(torch.nn.Module):
    """Runs `network.pt2` in torch's channels_last layout, by autocast where `engine.json` says bf16."""

    def __init__(self, folder: Path = Path(__file__).parent, file: Path | None = None) -> None:
        """Takes the folder of an archive, or a file outside any archive, which runs in fp32."""
        super().__init__()
        self.training = False
        self._reduced = file is None and json.loads((folder / "engine.json").read_text())["precision"] == BF16
        self._network = torch.export.load(file or folder / "network.pt2").module()

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002
        """Changes nothing: a program keeps the mode in which it was exported."""
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns float32 logits."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self._reduced):
            logits: torch.Tensor = self._network(images.contiguous(memory_format=torch.channels_last))
        return logits.float() if self._reduced else logits
