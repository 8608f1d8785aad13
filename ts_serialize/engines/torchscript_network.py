"""TorchScript with bfloat16 weights. Part of the model archive: imports only torch."""

import logging
import warnings
from pathlib import Path

import torch

logger = logging.getLogger(__name__)


class TorchScriptNetwork(torch.nn.Module):
    """Runs `network.pt` in bfloat16, in torch's channels_last layout, where it is fastest."""

    def __init__(self, folder: Path = Path(__file__).parent) -> None:
        super().__init__()
        self._dtype = torch.bfloat16 if computes_bf16() else torch.float32
        if self._dtype != torch.bfloat16:
            logger.warning("this processor does not compute in bf16; the model runs in fp32")
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


def computes_bf16() -> bool:
    """Whether a device of this machine has instructions for bfloat16; elsewhere torch emulates them."""
    capabilities = torch.cpu.get_capabilities()
    on_cpu = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return on_cpu or torch.cuda.is_available()
