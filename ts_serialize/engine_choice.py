"""Engines that compute a network, and the precisions of each. Imports no torch: settings use it, too."""

from pathlib import Path

TORCHSCRIPT, TORCH_EXPORT, OPENVINO, ONNXRUNTIME = "torchscript", "torch_export", "openvino", "onnxruntime"
FP32, BF16, FP16, INT8 = "fp32", "bf16", "fp16", "int8"

ON_GPUS = (TORCHSCRIPT, TORCH_EXPORT)

ENGINE_FILE = "engine.json"
"""File of an archive that names engine, precision and parity."""

PRECISIONS = {
    TORCHSCRIPT: (FP32, BF16, FP16),
    TORCH_EXPORT: (FP32, BF16, FP16),
    OPENVINO: (FP32, BF16, FP16, INT8),
    ONNXRUNTIME: (FP32,),
}


def check_choice(engine: str, precision: str, cuda_graphs: bool = False) -> None:
    """Checks that the engine has the precision, whatever the processor, and computes on GPUs if it records.

    Raises:
        ValueError: the message names what is possible.
    """
    if precision not in PRECISIONS[engine]:
        others = [name for name, precisions in PRECISIONS.items() if precision in precisions]
        raise ValueError(
            f"engine {engine} computes in {' or '.join(PRECISIONS[engine])}; {precision} needs engine: "
            f"{', '.join(others)}"
        )
    if cuda_graphs and engine not in ON_GPUS:
        raise ValueError(
            f"engine {engine} computes on the CPU, without CUDA graphs; set cuda_graphs false, or engine "
            f"{' or '.join(ON_GPUS)}"
        )


def engine_module(engine: str) -> Path:
    """File with the network's class, the `modelFile` of an archive on this engine."""
    return Path(__file__).parent / "engines" / f"{engine}_network.py"


def keeps_checkpoint(engine: str, precision: str) -> bool:
    """Whether the archive holds the checkpoint as it is, for TorchServe's own loader."""
    return (engine, precision) == (TORCHSCRIPT, FP32)
