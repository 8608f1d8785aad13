"""TorchScript compiled for the device that it runs on. Part of the model archive."""

import logging

import torch

from ts_serialize.torchscript import without_deprecation

logger = logging.getLogger(__name__)


class ChannelsLast(torch.nn.Module):
    """Gives a network its batch in the layout that a GPU's convolutions want."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self._network = network

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Returns the network's output; batch: (N, C, H, W)."""
        outputs: torch.Tensor = self._network(batch.contiguous(memory_format=torch.channels_last))
        return outputs


def optimized(network: torch.jit.ScriptModule, example: torch.Tensor) -> torch.nn.Module:
    """Folds batch norms and fuses operations; answers differ by float rounding only.

    A network with operations for which torch cannot do it is returned as it is.

    Args:
        network: in evaluation mode, on the device of the example.
        example: an input (C, H, W).
    """
    try:
        with without_deprecation():
            compiled = torch.jit.optimize_for_inference(network)
        _run(compiled, example)
    except RuntimeError as exc:
        logger.warning("serving the model unoptimized: %s", exc)
        return network
    if not example.is_cuda:
        return compiled
    try:
        return _run(ChannelsLast(compiled), example)
    # The network takes a view of a tensor that is contiguous in the other layout only.
    except RuntimeError:
        return compiled


def _run(network: torch.nn.Module, example: torch.Tensor) -> torch.nn.Module:
    with torch.inference_mode():
        network(example[None])
    return network
