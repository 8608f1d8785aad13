"""Loads a checkpoint in the format of its engine: TorchScript, or a program of torch.export."""

from pathlib import Path

import torch

from ts_serialize.checkpoint_kinds import is_exported, other_kind
from ts_serialize.engine_choice import TORCH_EXPORT
from ts_serialize.engines.torch_export_network import TorchExportNetwork
from ts_serialize.torchscript import loaded


class CheckpointError(Exception):
    """The file has another format; the message continues a sentence that begins with its name."""


def original_network(path: Path, engine: str) -> torch.nn.Module:
    """Loads the network on the CPU, in the mode in which it was saved.

    Raises:
        CheckpointError: the file has another format than the engine takes.
        OSError, RuntimeError, ValueError: it cannot be loaded.
    """
    if engine == TORCH_EXPORT:
        if not is_exported(path):
            raise CheckpointError(
                "is no program of torch.export, which engine torch_export runs: save "
                "torch.export.export(model.eval(), (torch.zeros(2, 3, height, width),), "
                'dynamic_shapes=({0: torch.export.Dim("batch")},)) with torch.export.save, or choose '
                "another model.engine"
            )
        return TorchExportNetwork(file=path)
    if kind := other_kind(path):
        raise CheckpointError(f"is not a TorchScript file; it is {kind}")
    return loaded(path)
