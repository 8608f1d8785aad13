"""A program of torch.export: the checkpoint as it is, for a module that loads it."""

import shutil
from pathlib import Path

import torch

from ts_serialize.conversion.errors import ConversionError
from ts_serialize.conversion.source import Source
from ts_serialize.engine_choice import BF16
from ts_serialize.engines.torch_export_network import TorchExportNetwork
from ts_serialize.engines.torchscript_network import computes_bf16


def convert(source: Source, folder: Path) -> torch.nn.Module:
    """Copies `network.pt2` and loads it as a worker does.

    Raises:
        ConversionError: no device of this machine computes in bfloat16.
    """
    if source.precision == BF16 and not computes_bf16():
        raise ConversionError(
            "this machine has neither a processor with bfloat16 instructions nor a GPU; use precision=fp32"
        )
    shutil.copyfile(source.checkpoint, folder / "network.pt2")
    return TorchExportNetwork(folder)
