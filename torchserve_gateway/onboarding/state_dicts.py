"""Weights without a network: a state dict, a checkpoint dictionary with one inside, or safetensors.

Read by torch's restricted unpickler: no code of the file runs.
"""

import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

# Names under which training scripts keep the weights, most usual first.
USUAL_KEYS = ("state_dict", "model_state_dict", "model", "net", "ema")
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True)
class Weights:
    """Tensors by name."""

    tensors: dict[str, torch.Tensor]
    """All of them, on the CPU."""
    kind: str
    """Description of the file, for people."""


def weights_in(path: Path) -> Weights | None:
    """The weights in a file; None if it holds anything else.

    Raises:
        OSError: it cannot be read.
    """
    if path.suffix == ".safetensors":
        return _safetensors(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    # Another class than torch's, or a broken file.
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError):
        return None
    if not isinstance(content, Mapping):
        return None
    if tensors := _tensors(content):
        return Weights(tensors, f"a state dict ({len(tensors)} tensors), weights without a network")
    found = {str(key): tensors for key, value in content.items() if (tensors := _tensors(value))}
    key = next((key for key in (*USUAL_KEYS, *found) if key in found), None)
    if key is None:
        return None
    kind = f"a checkpoint dictionary ({', '.join(map(str, content))}) with a state dict in {key!r}"
    return Weights(found[key], f"{kind} ({len(found[key])} tensors), weights without a network")


def _tensors(value: object) -> dict[str, torch.Tensor]:
    """The value as a state dict; empty if it is none."""
    if not isinstance(value, Mapping):
        return {}
    tensors = {str(key): each for key, each in value.items() if isinstance(each, torch.Tensor)}
    return tensors if len(tensors) == len(value) else {}


def _safetensors(path: Path) -> Weights | None:
    # 8 bytes: length of the JSON header; offsets count from its end.
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            return None
        try:
            header = json.loads(file.read(length))
            data = bytearray(file.read())
            tensors = {name: _tensor(data, each) for name, each in header.items() if name != "__metadata__"}
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError):
            return None
    return Weights(tensors, f"a safetensors file ({len(tensors)} tensors), weights without a network")


def _tensor(data: bytearray, described: Mapping[str, list[int]]) -> torch.Tensor:
    start, end = described["data_offsets"]
    dtype, shape = DTYPES[str(described["dtype"])], described["shape"]
    if start == end:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(data[start:end], dtype=dtype).reshape(shape)
