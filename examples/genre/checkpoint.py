"""The TorchScript file of the demo model: written atomically, the same bytes in every run of the training."""

import hashlib
import io
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from torchserve_gateway.settings.composition import ConfigurationError
from ts_serialize.torchscript import load_torchscript, without_deprecation


def save_checkpoint(model: torch.nn.Module, example: Tensor, path: Path) -> str:
    """Write the model in evaluation mode as TorchScript and return the file's SHA-256 in hex.

    `example` is an input, float32 (N, 3, H, W); the written model takes any N.

    Raises:
        OSError: the file cannot be written; an existing file is unchanged.
    """
    traced = io.BytesIO()
    with without_deprecation():
        # Scripting writes constants in the order of string hashes, which differs between processes.
        torch.jit.save(torch.jit.trace(model.eval(), example), traced)  # type: ignore[no-untyped-call]
    content = _reproducible(traced)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    partial.write_bytes(content)
    partial.replace(path)
    return hashlib.sha256(content).hexdigest()


def load_checkpoint(path: Path) -> torch.jit.ScriptModule:
    """The model on the CPU in evaluation mode.

    Raises:
        ConfigurationError: the file is missing or not TorchScript.
    """
    if not path.is_file():
        raise ConfigurationError(f"model.weights.path = {path}: no such file; `make train` makes it")
    try:
        return load_torchscript(path)
    except (RuntimeError, ValueError) as exc:
        raise ConfigurationError(f"model.weights.path = {path}: not a TorchScript file") from exc


def _reproducible(archive: io.BytesIO) -> bytes:
    # Debug records hold the paths of the machine the model was traced on, and the id is a checksum over them.
    # Loading needs neither.
    stripped = io.BytesIO()
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(stripped, "w") as target:
        for name in source.namelist():
            if not name.endswith((".debug_pkl", "/serialization_id")):
                target.writestr(zipfile.ZipInfo(name), source.read(name))
    return stripped.getvalue()
