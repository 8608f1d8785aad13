"""Times of loading a model's network and of moving it to a device, in this process."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

import torch

from torchserve_gateway.settings.model import ModelSettings
from ts_serialize.eager_network import eager_network
from ts_serialize.torchscript import without_deprecation

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class LoadTimes:
    """Milliseconds of one load."""

    load: float
    """Reads the weights into a network on the CPU."""
    move: float
    """Moves it to the device; on the CPU hardly anything."""


def load_times(model: ModelSettings, device: str) -> LoadTimes | None:
    """Loads and moves the network; None for a model without weights.

    Raises:
        ts_serialize.checkpoint.CheckpointError: the weights cannot be used.
    """
    if model.weights is None:
        return None
    path = model.weights.path
    if device == "cuda":
        # The first use of a GPU sets up its context, which is no part of the model.
        torch.zeros(1, device=device)
    if model.model_file:
        model_file = model.model_file
        network, load_s = _timed(lambda: eager_network(path, model_file, model.extra_files))
    else:
        with without_deprecation():
            network, load_s = _timed(lambda: torch.jit.load(path))  # type: ignore[no-untyped-call]
    _, move_s = _timed(lambda: _moved(network, device))
    return LoadTimes(load_s * 1000, move_s * 1000)


def _moved(network: torch.nn.Module, device: str) -> None:
    network.to(device)
    if device == "cuda":
        torch.cuda.synchronize()


def _timed(operation: Callable[[], ResultT]) -> tuple[ResultT, float]:
    start = perf_counter()
    result = operation()
    return result, perf_counter() - start
