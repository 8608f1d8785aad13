"""Names a file that torch.save or pickle wrote, and how to make TorchScript of it.

Read by torch's restricted unpickler and by opcode: no code of the file runs.
"""

import io
import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch

# Magic number of torch.save before PyTorch 1.6.
OLD_FORMAT = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
MAX_KEYS_SHOWN = 5
FETCH_AGAIN = "fetch it again and compare its sha256"


def script_it(path: Path, load: str) -> str:
    """Python that scripts and saves the network that `load` assigns to `model`."""
    target = f"{path.stem}-torchscript.pt"
    return f'{load}; torch.jit.save(torch.jit.script(model.eval()), "{target}"); set model.weights.path to it'


def load_into_network(path: Path, weights: str) -> str:
    """Python that loads weights into a network and scripts it."""
    return script_it(path, f"build the network in Python as `model`; model.load_state_dict({weights})")


def from_network(path: Path) -> str:
    """Python that scripts the network behind a file that cannot be loaded."""
    return script_it(path, "in Python, with the network that it was made from as `model`")


def pickled(path: Path, head: bytes) -> str:
    """Names the content of a pickle and the remedy.

    head: first bytes of the pickle itself, which may be a member of the file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Mapped, so that no weights are read.
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    # The restricted unpickler met a foreign class, or the file is broken.
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as exc:
        return _refused_by_torch(path, _first_class(head), exc)
    load = f'torch.load("{path.name}", map_location="cpu", weights_only=True)'
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}, not a network: {from_network(path)}"
    if _is_state_dict(content):
        step = load_into_network(path, load)
        return f"a state dict ({len(content)} tensors), weights without a network: {step}"
    keys = ", ".join(map(str, list(content)[:MAX_KEYS_SHOWN]))
    weights = next((key for key, value in content.items() if _is_state_dict(value)), "<its weights>")
    return f"a checkpoint dictionary ({keys}), no network: {load_into_network(path, f'{load}[{weights!r}]')}"


def _is_state_dict(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(each, torch.Tensor) for each in value.values())
    )


def _refused_by_torch(path: Path, first_class: str | None, exc: Exception) -> str:
    load = f'torch.load("{path.name}", map_location="cpu", weights_only=False)'
    if first_class:
        step = script_it(path, f"where that class can be imported, model = {load}")
        return f"a pickled {first_class}, which runs code when it is loaded: {step}"
    if isinstance(exc, pickle.UnpicklingError):
        step = load_into_network(path, f'{load}["<its weights>"]')
        return f"a checkpoint dictionary with objects besides weights, no network: {step}"
    return f"a file of torch.save that is cut off or broken: {FETCH_AGAIN}"


def _first_class(head: bytes) -> str | None:
    """Class of the outermost object; None for a dictionary, a list or a tensor."""
    stream = io.BytesIO(head)
    strings: list[str] = []
    try:
        # Before the object, torch.save's older format has its magic number, version and machine.
        for _ in range(3 if head.startswith(OLD_FORMAT) else 0):
            list(pickletools.genops(stream))
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"):
                return None
            if opcode.name.endswith("UNICODE"):
                strings.append(str(argument))
            if opcode.name == "GLOBAL":
                name = str(argument).replace(" ", ".")
                return None if name.startswith(("collections.", "torch._utils.")) else name
            if opcode.name == "STACK_GLOBAL":
                return ".".join(strings[-2:])
    # The head ends in the middle of the pickle.
    except ValueError:
        pass
    return None
