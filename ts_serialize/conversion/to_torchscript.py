"""TorchScript in a lower precision: the checkpoint as it is, for a module that casts its weights."""

import shutil
from pathlib import Path

import torch

from ts_serialize.conversion.errors import ConversionError
from ts_serialize.conversion.precision import check_precision
from ts_serialize.conversion.source import Source
from ts_serialize.engines.torchscript_network import TorchScriptNetwork


def convert(source: Source, folder: Path) -> torch.nn.Module:
    """Writes `network.pt` and loads it as a worker does.

    Raises:
        ConversionError: no device here computes in the precision, or the network does not allow it.
    """
    check_precision(source.precision)
    shutil.copyfile(source.checkpoint, folder / "network.pt")
    try:
        return TorchScriptNetwork(folder)
    except RuntimeError as exc:
        raise ConversionError(f"torch cannot cast this network to {source.precision}: {exc}") from exc
