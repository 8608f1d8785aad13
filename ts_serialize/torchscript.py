"""Loads TorchScript, the format that TorchServe serves. Part of the model archive."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch

Loaded = TypeVar("Loaded")


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
        model: torch.jit.ScriptModule = with_torchvision(
            lambda: torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
        )
        return model


def with_torchvision(load: Callable[[], Loaded]) -> Loaded:
    """Calls `load`, again with torchvision's operators, such as nms, if it lacks them; raises as `load`."""
    try:
        return load()
    except RuntimeError as exc:
        if "torchvision::" not in str(exc):
            raise
        # Registers the operators; takes a second.
        import torchvision  # noqa: F401, PLC0415

        return load()


def load_torchscript(path: Path) -> torch.jit.ScriptModule:
    """Loads the model on the CPU in evaluation mode.

    Raises:
        RuntimeError, ValueError: the file is not TorchScript.
    """
    return loaded(path).eval()
