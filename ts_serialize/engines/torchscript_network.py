"""TorchScript with bfloat16 or float16 weights. Part of the model archive."""

import json
from pathlib import Path

import torch

from ts_serialize.optimized_torchscript import optimized
from ts_serialize.reduced_precision import worker_dtype
from ts_serialize.torchscript import load_torchscript, without_deprecation


class TorchScriptNetwork(torch.nn.Module):
    """Runs `network.pt` in the precision of `engine.json`, in torch's channels_last layout."""

    def __init__(self, folder: Path = Path(__file__).parent) -> None:
        super().__init__()
        self._dtype = worker_dtype(json.loads((folder / "engine.json").read_text())["precision"])
        network = load_torchscript(folder / "network.pt").to(self._dtype)
        self._network: torch.nn.Module = network.to(memory_format=torch.channels_last)
        self._is_compiled = False

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns float32 logits."""
        reduced = images.to(self._dtype).contiguous(memory_format=torch.channels_last)
        if not self._is_compiled:
            # Only a batch tells the device, which TorchServe chooses, and which compiling fixes.
            self._network, self._is_compiled = self._compiled(reduced), True
        logits: torch.Tensor = self._network(reduced).float()
        return logits

    def _compiled(self, batch: torch.Tensor) -> torch.nn.Module:
        assert isinstance(self._network, torch.jit.ScriptModule)
        if batch.is_cuda:
            return optimized(self._network, batch[0])
        with without_deprecation():
            frozen: torch.nn.Module = torch.jit.freeze(self._network)
            return frozen
