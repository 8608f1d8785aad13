"""Names the format of a file that is not TorchScript, and how to make TorchScript of it.

Recognized by magic bytes, names in a zip file and torch's restricted unpickler: no code of the file runs.
"""

import zipfile
from pathlib import Path, PurePosixPath

from ts_serialize.checkpoint_pickles import (
    FETCH_AGAIN,
    MAX_KEYS_SHOWN,
    from_network,
    load_into_network,
    pickled,
)

HEAD_BYTES = 512
MAX_SAFETENSORS_HEADER = 100_000_000

NOT_PYTORCH = "TorchServe needs a PyTorch model"
# Other formats: offset, bytes there, name.
SIGNATURES = (
    (0, b"PK\x03\x04", f"a zip file that is cut off: {FETCH_AGAIN}"),
    (0, b"\x1f\x8b", "a gzip file, perhaps a .tar.gz: unpack it (tar -xzf) and name the checkpoint in it"),
    (0, b"BZh", "a bzip2 file: unpack it (tar -xjf) and name the checkpoint in it"),
    (0, b"\xfd7zXZ\x00", "an xz file: unpack it (tar -xJf) and name the checkpoint in it"),
    (257, b"ustar", "a tar archive: unpack it (tar -xf) and name the checkpoint in it"),
    (0, b"\x89HDF\r\n\x1a\n", f"an HDF5 file, as Keras saves them: {NOT_PYTORCH}"),
    (4, b"TFL3", f"a TensorFlow Lite model: {NOT_PYTORCH}"),
)
EXPORTED = "a program of torch.export (.pt2): set model.engine=torch_export"
# Other formats by the name of a zip member.
ZIP_MEMBERS = {
    "MANIFEST.json": 'a model archive already: make upload_model ARGS="archive_source.url=<its name>"',
    "model.weights.h5": f"a Keras model: {NOT_PYTORCH}",
}
EXPORT_MEMBERS = {"archive_format", "serialized_exported_program.json"}


def other_kind(path: Path) -> str | None:
    """Names the file's format and the remedy, as the end of a sentence "it is ..."; None for TorchScript.

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


def is_exported(path: Path) -> bool:
    """Whether the file is a program of torch.export.

    Raises:
        OSError: it cannot be read.
    """
    return other_kind(path) == EXPORTED


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
        return pickled(path, head)
    return _weights_or_graph(path, head) or _text(head) or f"of no known format: {from_network(path)}"


def _weights_or_graph(path: Path, head: bytes) -> str | None:
    # safetensors begins with the length of its JSON header, ONNX with its version.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < MAX_SAFETENSORS_HEADER:
        load = load_into_network(path, f'safetensors.torch.load_file("{path.name}")')
        return f"a safetensors file, weights without a network: {load}"
    if head[:1] == b"\x08" and head[2:3] in (b"\x12", b"\x3a"):
        return f"an ONNX model, which TorchServe's handlers cannot load: {from_network(path)}"
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
        return EXPORTED
    if "constants.pkl" in names:
        return None
    if "data.pkl" in names:
        return _saved(path)
    shown = ", ".join(sorted(names)[:MAX_KEYS_SHOWN])
    return f"a zip file of something else (it holds {shown}): unpack it and name the TorchScript file in it"


def _saved(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        member = next(name for name in archive.namelist() if PurePosixPath(name).name == "data.pkl")
        with archive.open(member) as file:
            return pickled(path, file.read(HEAD_BYTES))
