"""TorchScript in bfloat16: the checkpoint as it is, for a module that casts its weights."""

import shutil
from pathlib import Path

import torch

from ts_serialize.conversion.errors import ConversionError
from ts_serialize.conversion.source import Source
from ts_serialize.engines.torchscript_network import TorchScriptNetwork, computes_bf16


def convert(source: Source, folder: Path) -> torch.nn.Module:
    """Writes `network.pt` and loads it as a worker does.

    Raises:
        ConversionError: no device of this machine computes in bfloat16, or the network does not allow it.
    """
    if not computes_bf16():
        raise ConversionError(
            "this machine has neither a processor with bfloat16 instructions nor a GPU; use precision=fp32"
        )
    shutil.copyfile(source.checkpoint, folder / "network.pt")
    try:
        return TorchScriptNetwork(folder)
    except RuntimeError as exc:
        raise ConversionError(f"torch cannot cast this network to bfloat16: {exc}") from exc
