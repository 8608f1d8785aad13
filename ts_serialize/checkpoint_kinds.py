"""What a file is that was given as a TorchScript checkpoint, and what makes one of it.

Told by magic bytes, the names in a zip file and torch's restricted unpickler: nothing in the file is run.
"""

import io
import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import torch

HEAD_BYTES = 512
OLD_FORMAT = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
MAX_KEYS_SHOWN = 5
MAX_SAFETENSORS_HEADER = 100_000_000

FETCH_AGAIN = "fetch it again and compare its sha256"
NOT_PYTORCH = "TorchServe needs a PyTorch model"
# Files of other formats by the bytes at an offset.
SIGNATURES = (
    (0, b"PK\x03\x04", f"a zip file that is cut off: {FETCH_AGAIN}"),
    (0, b"\x1f\x8b", "a gzip file, perhaps a .tar.gz: unpack it (tar -xzf) and name the checkpoint in it"),
    (0, b"BZh", "a bzip2 file: unpack it (tar -xjf) and name the checkpoint in it"),
    (0, b"\xfd7zXZ\x00", "an xz file: unpack it (tar -xJf) and name the checkpoint in it"),
    (257, b"ustar", "a tar archive: unpack it (tar -xf) and name the checkpoint in it"),
    (0, b"\x89HDF\r\n\x1a\n", f"an HDF5 file, as Keras saves them: {NOT_PYTORCH}"),
    (4, b"TFL3", f"a TensorFlow Lite model: {NOT_PYTORCH}"),
)
EXPORTED = "a program of torch.export (.pt2), which TorchServe's handlers cannot load"
# Files of other formats by a name in the zip file.
ZIP_MEMBERS = {
    "MANIFEST.json": 'a model archive already: make upload_model ARGS="archive_source.url=<its name>"',
    "model.weights.h5": f"a Keras model: {NOT_PYTORCH}",
}
EXPORT_MEMBERS = {"archive_format", "serialized_exported_program.json"}


def other_kind(path: Path) -> str | None:
    """What the file is if not TorchScript and what to do, as the end of a sentence that begins with "it is".

    Raises:
        OSError: it cannot be read.
    """
    if path.is_dir():
        return _folder(path)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if zipfile.is_zipfile(path):
        return _zip(path)
    return _by_first_bytes(path, head)


def _script_it(path: Path, load: str) -> str:
    target = f"{path.stem}-torchscript.pt"
    return f'{load}; torch.jit.save(torch.jit.script(model.eval()), "{target}"); set model.weights.path to it'


def _load_into_network(path: Path, weights: str) -> str:
    return _script_it(path, f"build the network in Python as `model`; model.load_state_dict({weights})")


def _from_network(path: Path) -> str:
    return _script_it(path, "in Python, with the network that it was made from as `model`")


def _folder(path: Path) -> str:
    names = {entry.name for entry in path.iterdir()}
    if {"data.pkl", "version"} <= names:
        return "a folder that a checkpoint was unpacked into: fetch the file itself again"
    if "saved_model.pb" in names:
        return f"a folder with a TensorFlow model: {NOT_PYTORCH}"
    shown = ", ".join(sorted(names)[:MAX_KEYS_SHOWN]) or "nothing"
    return f"a folder (it holds {shown}): name the TorchScript file"


def _by_first_bytes(path: Path, head: bytes) -> str:
    if not head:
        return f"an empty file: {FETCH_AGAIN}"
    if head.startswith(b"version https://git-lfs"):
        return f"a git-lfs pointer, not the checkpoint: git lfs pull --include={path.name}"
    for offset, signature, kind in SIGNATURES:
        if head[offset:].startswith(signature):
            return kind
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return _pickled(path, head)
    return _weights_or_graph(path, head) or _text(head) or f"of no known format: {_from_network(path)}"


def _weights_or_graph(path: Path, head: bytes) -> str | None:
    # A safetensors file begins with the length of its JSON header, an ONNX one with its version.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < MAX_SAFETENSORS_HEADER:
        load = _load_into_network(path, f'safetensors.torch.load_file("{path.name}")')
        return f"a safetensors file, weights without a network: {load}"
    if head[:1] == b"\x08" and head[2:3] in (b"\x12", b"\x3a"):
        return f"an ONNX model, which TorchServe's handlers cannot load: {_from_network(path)}"
    return None


def _text(head: bytes) -> str | None:
    try:
        text = head.decode()
    except UnicodeDecodeError as exc:
        # The last character may be cut in two.
        if exc.start < HEAD_BYTES - 4:
            return None
        text = head[: exc.start].decode()
    if not all(character.isprintable() or character.isspace() for character in text):
        return None
    first = " ".join(text.split())[:60]
    kind = "a web page" if first.lower().startswith(("<!doctype html", "<html")) else "text"
    return f"{kind}, perhaps a server's error, that begins with {first!r}: look at the URL and fetch it again"


def _zip(path: Path) -> str | None:
    with zipfile.ZipFile(path) as archive:
        names = {PurePosixPath(name).name for name in archive.namelist()}
    for member, kind in ZIP_MEMBERS.items():
        if member in names:
            return kind
    if EXPORT_MEMBERS & names:
        return f"{EXPORTED}: {_from_network(path)}"
    if "constants.pkl" in names:
        return None
    if "data.pkl" in names:
        return _saved(path)
    shown = ", ".join(sorted(names)[:MAX_KEYS_SHOWN])
    return f"a zip file of something else (it holds {shown}): unpack it and name the TorchScript file in it"


def _saved(path: Path) -> str:
    """What torch.save wrote."""
    with zipfile.ZipFile(path) as archive:
        pickled = next(name for name in archive.namelist() if PurePosixPath(name).name == "data.pkl")
        with archive.open(pickled) as file:
            return _pickled(path, file.read(HEAD_BYTES))


def _pickled(path: Path, head: bytes) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Mapped: of the weights nothing is read.
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    # The restricted unpickler met a class that is not its own, or the file is broken.
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as exc:
        return _refused_by_torch(path, _first_class(head), exc)
    load = f'torch.load("{path.name}", map_location="cpu", weights_only=True)'
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}, not a network: {_from_network(path)}"
    if _is_state_dict(content):
        step = _load_into_network(path, load)
        return f"a state dict ({len(content)} tensors), weights without a network: {step}"
    keys = ", ".join(map(str, list(content)[:MAX_KEYS_SHOWN]))
    weights = next((key for key, value in content.items() if _is_state_dict(value)), "<its weights>")
    return f"a checkpoint dictionary ({keys}), no network: {_load_into_network(path, f'{load}[{weights!r}]')}"


def _is_state_dict(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(each, torch.Tensor) for each in value.values())
    )


def _refused_by_torch(path: Path, first_class: str | None, exc: Exception) -> str:
    load = f'torch.load("{path.name}", map_location="cpu", weights_only=False)'
    if first_class:
        step = _script_it(path, f"where that class can be imported, model = {load}")
        return f"a pickled {first_class}, which runs code when it is loaded: {step}"
    if isinstance(exc, pickle.UnpicklingError):
        step = _load_into_network(path, f'{load}["<its weights>"]')
        return f"a checkpoint dictionary with objects besides weights, no network: {step}"
    return f"a file of torch.save that is cut off or broken: {FETCH_AGAIN}"


def _first_class(head: bytes) -> str | None:
    """The class of the outermost object, None where that is a dictionary, a list or a tensor."""
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
