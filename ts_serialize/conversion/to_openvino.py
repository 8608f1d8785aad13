"""OpenVINO's format from TorchScript, quantized by NNCF for int8."""

import io
import logging
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch

from ts_serialize.conversion.errors import ConversionError
from ts_serialize.conversion.packages import optional_package
from ts_serialize.conversion.source import Source
from ts_serialize.engine_choice import INT8

logger = logging.getLogger(__name__)


def convert(source: Source, folder: Path) -> torch.nn.Module:
    """Writes `network.xml` and `network.bin`, and loads them as a worker does.

    Raises:
        ConversionError: a package is missing, the processor lacks the precision, or OpenVINO cannot run the
            network.
    """
    openvino = optional_package("openvino")
    from ts_serialize.engines.openvino_network import OpenVINONetwork, computes  # noqa: PLC0415

    if not computes(source.precision):
        raise ConversionError(
            f"OpenVINO does not compute in {source.precision} on this processor; it would take another "
            "precision in its place; use precision=fp32, or int8 for speed"
        )
    try:
        network = openvino.convert_model(
            source.network,
            example_input=source.example(),
            input=[(-1 if source.batch_size > 1 else 1, *source.shape)],
        )
        if source.precision == INT8:
            network = _quantized(network, source)
        # OpenVINO's own names number all nodes of the process, so the bytes would differ each time.
        network.set_friendly_name("network")
        for number, node in enumerate(network.get_ordered_ops()):
            node.set_friendly_name(f"{node.get_type_name()}_{number}")
        openvino.save_model(network, folder / "network.xml", compress_to_fp16=False)
        return OpenVINONetwork(folder)
    # OpenVINO's frontends raise their own, NNCF anything.
    except Exception as exc:
        if isinstance(exc, ConversionError):
            raise
        raise ConversionError(f"OpenVINO cannot run this network: {_first_line(exc)}") from exc


def _quantized(network: Any, source: Source) -> Any:
    if not source.calibration:
        raise ConversionError("int8 is calibrated on images: set model.calibration_images")
    nncf = optional_package("nncf")
    logger.info("calibrating int8 on %d images", len(source.calibration))
    # Its own set_log_level changes the handlers of all loggers.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    # NNCF's progress bars; stdout is for the path of the archive.
    with redirect_stdout(io.StringIO()):
        return nncf.quantize(
            network,
            nncf.Dataset(source.calibration, lambda image: image.unsqueeze(0).numpy()),
            # All images, since the folder is the user's choice of them.
            subset_size=len(source.calibration),
        )


def _first_line(exc: Exception) -> str:
    return next((line.strip() for line in str(exc).splitlines() if line.strip()), type(exc).__name__)
