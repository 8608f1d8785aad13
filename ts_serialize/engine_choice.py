"""Engines that compute a network, and the precisions of each. Imports no torch: settings use it, too."""

TORCHSCRIPT, TORCH_EXPORT, OPENVINO, ONNXRUNTIME = "torchscript", "torch_export", "openvino", "onnxruntime"
FP32, BF16, FP16, INT8 = "fp32", "bf16", "fp16", "int8"

ENGINE_FILE = "engine.json"
"""File of an archive that names engine, precision and parity."""

PRECISIONS = {
    TORCHSCRIPT: (FP32, BF16),
    TORCH_EXPORT: (FP32, BF16),
    OPENVINO: (FP32, BF16, FP16, INT8),
    ONNXRUNTIME: (FP32,),
}


def check_choice(engine: str, precision: str) -> None:
    """Checks that the engine has the precision, whatever the processor.

    Raises:
        ValueError: the message names the precisions of the engine and the engines of the precision.
    """
    if precision in PRECISIONS[engine]:
        return
    others = [name for name, precisions in PRECISIONS.items() if precision in precisions]
    raise ValueError(
        f"engine {engine} computes in {' or '.join(PRECISIONS[engine])}; {precision} needs engine: "
        f"{', '.join(others)}"
    )


def keeps_checkpoint(engine: str, precision: str) -> bool:
    """Whether the archive holds the checkpoint as it is, for TorchServe's own loader."""
    return (engine, precision) == (TORCHSCRIPT, FP32)
