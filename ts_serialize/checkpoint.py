"""Loads a checkpoint: TorchScript, a program of torch.export, or a state dict with its network's class."""

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

import torch

from ts_serialize.checkpoint_kinds import is_exported, other_kind
from ts_serialize.engine_choice import TORCH_EXPORT
from ts_serialize.engines.torch_export_network import TorchExportNetwork
from ts_serialize.torchscript import loaded

MAX_REASON = 400


class CheckpointError(Exception):
    """The file has another format; the message continues a sentence that begins with its name."""


def original_network(path: Path, engine: str, model_file: Path | None = None) -> torch.nn.Module:
    """Loads the network on the CPU, in the mode in which it was saved.

    Args:
        path: the checkpoint.
        engine: as in `model.engine`.
        model_file: Python file with the network's class, if the checkpoint is a state dict.

    Raises:
        CheckpointError: the file has another format than the engine takes.
        OSError, RuntimeError, ValueError: it cannot be loaded.
    """
    if model_file:
        return _eager_network(path, model_file)
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


def _eager_network(path: Path, model_file: Path) -> torch.nn.Module:
    """Builds the only class of the file without arguments and loads the state dict, as TorchServe does."""
    if other_kind(path) is None:
        raise CheckpointError(
            f"is TorchScript, which has its network inside: leave out model_file = {model_file}"
        )
    # TorchServe imports the file from the archive, beside its extra files.
    sys.path.insert(0, str(model_file.parent))
    try:
        network = _only_class(_imported(model_file))()
    # The file may raise anything.
    except Exception as exc:
        if isinstance(exc, CheckpointError):
            raise
        raise CheckpointError(
            f"has a model_file that cannot be used: {model_file}: {type(exc).__name__}: {exc}"
        ) from exc
    finally:
        sys.path.remove(str(model_file.parent))
    try:
        network.load_state_dict(torch.load(path, map_location="cpu"))
    # torch.load and load_state_dict raise many kinds.
    except Exception as exc:
        reason = " ".join(str(exc).split())[:MAX_REASON]
        raise CheckpointError(
            f"is no state dict of {type(network).__name__} in {model_file}: {reason}; save "
            "model.state_dict() of that class with torch.save"
        ) from exc
    return network.eval()


def _imported(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise CheckpointError(f"has a model_file that is no Python file: {file}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _only_class(module: ModuleType) -> type[torch.nn.Module]:
    classes = [
        each for _, each in inspect.getmembers(module, inspect.isclass) if each.__module__ == module.__name__
    ]
    if len(classes) != 1 or not issubclass(classes[0], torch.nn.Module):
        names = ", ".join(each.__name__ for each in classes) or "no class"
        raise CheckpointError(
            f"has a model_file with {names}; TorchServe takes the only class of {module.__file__}, which has "
            "to be a torch.nn.Module"
        )
    return classes[0]
