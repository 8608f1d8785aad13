"""ONNX from TorchScript, for ONNX Runtime."""

import warnings
from pathlib import Path

import torch

from ts_serialize.conversion.errors import ConversionError
from ts_serialize.conversion.packages import optional_package
from ts_serialize.conversion.source import Source

OPSET = 17


def convert(source: Source, folder: Path) -> torch.nn.Module:
    """Writes `network.onnx`, and loads it as a worker does.

    Raises:
        ConversionError: a package is missing, or ONNX cannot express the network.
    """
    for name in ("onnx", "onnxruntime"):
        optional_package(name)
    from ts_serialize.engines.onnxruntime_network import ONNXRuntimeNetwork  # noqa: PLC0415

    dynamic = {0: "images"}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # The newer exporter takes no TorchScript.
            torch.onnx.export(
                source.network,
                (source.example(),),
                folder / "network.onnx",
                dynamo=False,
                opset_version=OPSET,
                input_names=["images"],
                output_names=["logits"],
                dynamic_axes={"images": dynamic, "logits": dynamic} if source.batch_size > 1 else None,
            )
        return ONNXRuntimeNetwork(folder)
    # torch's exporter and ONNX Runtime raise errors of their own.
    except Exception as exc:
        reason = next((line for line in str(exc).splitlines() if line.strip()), type(exc).__name__)
        raise ConversionError(f"ONNX Runtime cannot run this network: {reason.strip()}") from exc
