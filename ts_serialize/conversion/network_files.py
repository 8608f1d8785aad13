"""Files of the network in an archive: the checkpoint as it is, or converted and compared with it."""

import importlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ts_serialize.archive_parts import ModelParts
from ts_serialize.conversion.errors import ConversionError
from ts_serialize.conversion.gate import compared
from ts_serialize.conversion.images import NetworkInputs, calibration_images
from ts_serialize.conversion.source import Source
from ts_serialize.engine_choice import (
    ENGINE_FILE,
    FP32,
    INT8,
    ONNXRUNTIME,
    OPENVINO,
    TORCH_EXPORT,
    TORCHSCRIPT,
    engine_module,
    keeps_checkpoint,
)
from ts_serialize.network_check import NetworkCheck, NetworkError
from ts_serialize.network_input import Expectation

logger = logging.getLogger(__name__)

# Python packages that compute, by engine.
PACKAGES = {TORCHSCRIPT: "torch", TORCH_EXPORT: "torch", OPENVINO: "openvino", ONNXRUNTIME: "onnxruntime"}


@dataclass(frozen=True)
class NetworkFiles:
    """Files that the archive gets for its network."""

    serialized_file: Path | None
    """TorchScript or a state dict for TorchServe's own loader; None for an engine's `model_file`."""
    model_file: Path | None
    """Python module with the network's class, which TorchServe imports; None for TorchScript."""
    folder: Path
    """Folder of all other files."""


def network_files(
    model: ModelParts, original: torch.nn.Module, expected: Expectation, folder: Path
) -> NetworkFiles:
    """Converts the checkpoint where the settings want it, compares, and writes `engine.json`.

    Args:
        model: the settings.
        original: the checkpoint in evaluation mode.
        expected: requirements of the handler.
        folder: an empty folder.

    Raises:
        ConversionError: the engine cannot run the network, or its answers are outside `model.parity`.
    """
    if keeps_checkpoint(model.engine, model.precision):
        # An eager network is of no engine.
        if not model.model_file:
            _describe(model, folder, {})
        return NetworkFiles(model.checkpoint.path, model.model_file, folder)
    gate = _gate(model, original, converted(model, original, expected, folder))
    runtime = PACKAGES[model.engine]
    _describe(model, folder, {runtime: version(runtime), "gate": gate})
    return NetworkFiles(None, engine_module(model.engine), folder)


def converted(
    model: ModelParts, original: torch.nn.Module, expected: Expectation, folder: Path
) -> torch.nn.Module:
    """Converts the checkpoint to `model.engine` and `model.precision`, and runs it as a worker does.

    Args:
        model: the settings; not of the checkpoint as it is.
        original: the checkpoint in evaluation mode.
        expected: requirements of the handler.
        folder: gets the files of the network.

    Raises:
        ConversionError: the engine cannot run the network.
    """
    convert: Callable[[Source, Path], torch.nn.Module] = importlib.import_module(
        f"ts_serialize.conversion.to_{model.engine}"
    ).convert
    _describe(model, folder, {})
    images = calibration_images(model) if model.precision == INT8 else []
    calibration = NetworkInputs(images, model)
    source = Source(
        original, model.checkpoint.path, expected.input_shape, model.batch_size, model.precision, calibration
    )
    network = convert(source, folder)
    try:
        NetworkCheck(network, expected, reduced=model.precision != FP32)()
    except NetworkError as exc:
        raise ConversionError(f"the network {exc}") from exc
    return network


def _describe(model: ModelParts, folder: Path, more: Mapping[str, Any]) -> None:
    described = {"engine": model.engine, "precision": model.precision, **more}
    (folder / ENGINE_FILE).write_text(json.dumps(described, indent=1))


def _gate(model: ModelParts, original: torch.nn.Module, network: torch.nn.Module) -> dict[str, Any]:
    name = f"{model.engine} {model.precision}"
    comparison = compared(original, network, model)
    table = f"{name} beside the original:\n{comparison.table(name)}"
    if problems := "; ".join(comparison.problems(model.parity)):
        logger.error(table)
        raise ConversionError(f"it answers too differently from the original: {problems}")
    logger.info(table)
    return comparison.report()
