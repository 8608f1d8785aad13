"""A program of torch.export. Part of the model archive."""

import json
from pathlib import Path
from typing import Self

import torch

from ts_serialize.reduced_precision import worker_dtype


class TorchExportNetwork(torch.nn.Module):
    """Runs `network.pt2` in torch's channels_last layout, by autocast in the precision of `engine.json`."""

    def __init__(self, folder: Path = Path(__file__).parent, file: Path | None = None) -> None:
        """Takes the folder of an archive, or a file outside any archive, which runs in fp32."""
        super().__init__()
        self.training = False
        precision = "fp32" if file else json.loads((folder / "engine.json").read_text())["precision"]
        self._dtype = worker_dtype(precision)
        self._network = torch.export.load(file or folder / "network.pt2").module()

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002
        """Changes nothing: a program keeps the mode in which it was exported."""
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns float32 logits."""
        reduced = self._dtype != torch.float32
        with torch.autocast(images.device.type, self._dtype if reduced else None, enabled=reduced):
            logits: torch.Tensor = self._network(images.contiguous(memory_format=torch.channels_last))
        return logits.float() if reduced else logits
