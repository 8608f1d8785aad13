"""Loads TorchScript, the format that TorchServe serves."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

# Registers its operators, such as nms, which a file may use.
import torchvision  # noqa: F401


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
        model: torch.jit.ScriptModule = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    return model


def load_torchscript(path: Path) -> torch.jit.ScriptModule:
    """Loads the model on the CPU in evaluation mode.

    Raises:
        RuntimeError, ValueError: the file is not TorchScript.
    """
    return loaded(path).eval()
