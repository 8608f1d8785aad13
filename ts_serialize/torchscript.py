"""Loads TorchScript, the format that TorchServe serves."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ts_serialize.torchvision_operators import with_operators


@contextmanager
def without_deprecation() -> Iterator[None]:
    """Silences torch's advice to use torch.export; the engine torch_export serves its files, too."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
        yield


def loaded(path: Path) -> torch.jit.ScriptModule:
    """Loads the model on the CPU, in the mode in which it was saved.

    Raises:
        RuntimeError, ValueError: the file is not TorchScript.
    """
    with without_deprecation():
        return with_operators(lambda: _loaded(path))


def _loaded(path: Path) -> torch.jit.ScriptModule:
    model: torch.jit.ScriptModule = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    return model


def load_torchscript(path: Path) -> torch.jit.ScriptModule:
    """Loads the model on the CPU in evaluation mode.

    Raises:
        RuntimeError, ValueError: the file is not TorchScript.
    """
    return loaded(path).eval()
