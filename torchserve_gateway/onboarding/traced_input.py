"""Shape of the example with which a network was traced; torch.jit.save keeps the example in the file.

torch.jit.load drops it, so its pickle is read here. No code of the file runs: every name but those of tensors
is refused.
"""

import pickle
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

MEMBER = "traced_inputs.pkl"
MAX_BYTES = 1_000_000


def traced_shape(path: Path) -> tuple[int, ...] | None:
    """Shape of the first input of `forward`; None for a scripted network, or where it was not kept.

    Raises:
        OSError: the file cannot be read.
    """
    with zipfile.ZipFile(path) as archive:
        member = next((name for name in archive.namelist() if PurePosixPath(name).name == MEMBER), None)
        if member is None or archive.getinfo(member).file_size > MAX_BYTES:
            return None
        with archive.open(member) as file:
            try:
                examples = _Shapes(file).load()
            # A broken pickle raises anything.
            except Exception:  # noqa: BLE001
                return None
    first = next(iter(examples.get("forward", ())), None) if isinstance(examples, Mapping) else None
    return first if isinstance(first, tuple) else None


def is_traced(path: Path) -> bool:
    """Whether torch.jit.trace made the file.

    Raises:
        OSError: the file cannot be read.
    """
    with zipfile.ZipFile(path) as archive:
        return any(PurePosixPath(name).name == MEMBER for name in archive.namelist())


class _Shapes(pickle.Unpickler):
    """Reads a tensor as its shape, and its storage as nothing."""

    def find_class(self, module_name: str, global_name: str) -> Callable[..., object]:
        if (module_name, global_name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _shape
        if (module_name, global_name) == ("torch.jit._pickle", "restore_type_tag"):
            return _untagged
        if (module_name, global_name) == ("collections", "OrderedDict"):
            return dict
        if module_name == "torch" and global_name.endswith("Storage"):
            return _storage
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is no part of a tensor")

    def persistent_load(self, pid: object) -> None:
        """A storage."""


def _shape(_storage: object, _offset: int, size: Sequence[int], *_: object) -> tuple[int, ...]:
    return tuple(size)


def _untagged(value: object, _type: str) -> object:
    return value


def _storage() -> None:
    """Stands for a storage's type."""
