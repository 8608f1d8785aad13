"""Precisions of torch, and whether a device here has them. Part of the model archive: imports only torch."""

import logging

import torch

logger = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

# Of a processor, as `torch.cpu.get_capabilities` names them.
INSTRUCTIONS = {"bf16": ("avx512_bf16", "amx_bf16", "bf16"), "fp16": ("avx512_fp16", "amx_fp16")}


def computes(precision: str) -> bool:
    """Whether a device of this machine has instructions for it; elsewhere torch emulates them, slowly."""
    if precision not in INSTRUCTIONS:
        return True
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in INSTRUCTIONS[precision]) or _on_gpu(precision)


def worker_dtype(precision: str) -> torch.dtype:
    """Element type in which a worker computes: float32, with a warning, in the place of an emulated one."""
    if computes(precision):
        return DTYPES[precision]
    logger.warning("this machine does not compute in %s; the model runs in fp32", precision)
    return torch.float32


def _on_gpu(precision: str) -> bool:
    if not torch.cuda.is_available():
        return False
    return precision != "bf16" or torch.cuda.is_bf16_supported(including_emulation=False)
