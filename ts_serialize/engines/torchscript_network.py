"""TorchScript with bfloat16 or float16 weights. Part of the model archive."""

import json
import warnings
from pathlib import Path

import torch

from ts_serialize.reduced_precision import worker_dtype


class TorchScriptNetwork(torch.nn.Module):
    """Runs `network.pt` in the precision of `engine.json`, in torch's channels_last layout."""

    def __init__(self, folder: Path = Path(__file__).parent) -> None:
        super().__init__()
        self._dtype = worker_dtype(json.loads((folder / "engine.json").read_text())["precision"])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
            network = torch.jit.load(str(folder / "network.pt"), map_location="cpu").eval()  # type: ignore[no-untyped-call]
            network = network.to(self._dtype)
            # Freezing folds batch norms, and fixes the device, which TorchServe chooses after this.
            self._network = network if torch.cuda.is_available() else torch.jit.freeze(network)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns float32 logits."""
        reduced = images.to(self._dtype).contiguous(memory_format=torch.channels_last)
        logits: torch.Tensor = self._network(reduced).float()
        return logits
