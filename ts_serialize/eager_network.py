"""Loads a state dict into the class of its Python file, as TorchServe does with `model_file`."""

import importlib.util
import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch

from ts_serialize.checkpoint import CheckpointError
from ts_serialize.checkpoint_kinds import other_kind

# Characters of an error of the user's code.
MAX_REASON = 400


def eager_network(path: Path, model_file: Path, extra_files: Sequence[Path]) -> torch.nn.Module:
    """Builds the only class of the file without arguments, and loads the state dict.

    Args:
        path: the state dict.
        model_file: the Python file.
        extra_files: files and folders that the archive holds beside it, for its imports.

    Returns:
        the network on the CPU, in evaluation mode.

    Raises:
        CheckpointError: the file cannot be used, or the state dict does not fit.
        OSError: the checkpoint cannot be read.
    """
    if other_kind(path) is None:
        raise CheckpointError(
            f"is TorchScript, which has its network inside: leave out model_file = {model_file}"
        )
    folders = [each if each.is_dir() else each.parent for each in extra_files]
    try:
        with _importable(model_file.parent, *folders):
            network = _only_class(_imported(model_file))()
    except CheckpointError:
        raise
    # The user's code may raise anything.
    except Exception as exc:
        reason = f"{type(exc).__name__}: {exc}"
        raise CheckpointError(f"has a model_file that does not run: {model_file}: {_line(reason)}") from exc
    try:
        network.load_state_dict(torch.load(path, map_location="cpu"))
    # Both raise errors of many kinds.
    except Exception as exc:
        raise CheckpointError(
            f"is no state dict of {type(network).__name__} in {model_file}: {_line(str(exc))}; save "
            "model.state_dict() of that class with torch.save"
        ) from exc
    return network.eval()


@contextmanager
def _importable(*folders: Path) -> Iterator[None]:
    """Adds folders to those of imports; what was imported meanwhile is forgotten."""
    path, modules = list(sys.path), set(sys.modules)
    sys.path[:0] = map(str, folders)
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if _lies_in(sys.modules[name], folders):
                del sys.modules[name]


def _lies_in(module: ModuleType, folders: Sequence[Path]) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and any(Path(file).is_relative_to(folder) for folder in folders)


def _imported(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise CheckpointError(f"has a model_file that is no Python file: {file}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _only_class(module: ModuleType) -> type[torch.nn.Module]:
    every = [each for _, each in inspect.getmembers(module, inspect.isclass)]
    own = [each for each in every if each.__module__ == module.__name__]
    if len(own) != 1 or not issubclass(own[0], torch.nn.Module):
        names = ", ".join(each.__name__ for each in own) or "no class"
        raise CheckpointError(
            f"has a model_file with {names}: TorchServe takes the only class of {module.__file__}, which has "
            "to be a torch.nn.Module"
        )
    return own[0]


def _line(text: str) -> str:
    return " ".join(text.split())[:MAX_REASON]
