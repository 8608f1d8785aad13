"""A program of torch.export: the checkpoint as it is, for a module that loads it."""

import shutil
from pathlib import Path

import torch

from ts_serialize.conversion.precision import check_precision
from ts_serialize.conversion.source import Source
from ts_serialize.engines.torch_export_network import TorchExportNetwork


def convert(source: Source, folder: Path) -> torch.nn.Module:
    """Copies `network.pt2` and loads it as a worker does.

    Raises:
        ConversionError: no device of this machine computes in the precision.
    """
    check_precision(source.precision)
    shutil.copyfile(source.checkpoint, folder / "network.pt2")
    return TorchExportNetwork(folder)
