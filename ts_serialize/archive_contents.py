"""Contents of a model archive: every file by its path in the archive."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from model_archiver.model_archiver_config import ModelArchiverConfig
from model_archiver.model_packaging_utils import ModelExportUtils

from ts_serialize.archive_parts import ModelParts
from ts_serialize.conversion.network_files import NetworkFiles
from ts_serialize.network_outputs import PROBABILITIES
from ts_serialize.python_sources import SourceError, check_handler, check_model_file

WEIGHTS = "weights.path"
MANIFEST = "MAR-INF/MANIFEST.json"
CONFIG_FILE = "model-config.yaml"
# What TorchServe's own handlers recognize; they take any other name for a mistake.
NETWORK_SUFFIXES = frozenset({".pt", ".onnx", ".so"})
# As torch-model-archiver.
SKIPPED_FOLDERS = frozenset({"__MACOSX", "__pycache__"})
CREATED_ON = "01/01/1980 00:00:00"

Content = Path | bytes


class ContentError(Exception):
    """A part is missing, TorchServe cannot load it, or two parts have one place in the archive."""


class Contents:
    """Files by their path in the archive."""

    def __init__(self) -> None:
        self._found: dict[str, Content] = {}

    def add(self, name: str, content: Content) -> None:
        """Adds a file; the same file twice is one.

        Raises:
            ContentError: another file has that path.
        """
        known = self._found.setdefault(name, content)
        if known == content:
            return
        if isinstance(known, bytes):
            raise ContentError(
                f"{_shown(content)} would be {name} in the archive, which packing writes itself (from labels "
                "or image, or as the manifest); leave it out of extra_files"
            )
        raise ContentError(
            f"{_shown(known)} and {_shown(content)} would both be {name} in the archive; rename either"
        )

    def sorted(self) -> Iterator[tuple[str, Content]]:
        """All files by path.

        Raises:
            ContentError: a file has the path of a folder.
        """
        for name in sorted(self._found, key=lambda name: PurePosixPath(name).parts):
            for above in map(str, PurePosixPath(name).parents):
                if above in self._found:
                    raise ContentError(
                        f"{_shown(self._found[above])} would be {above} in the archive, the folder of "
                        f"{_shown(self._found[name])}; rename either"
                    )
            yield name, self._found[name]


def check_parts(model: ModelParts) -> None:
    """Checks that all parts exist and that TorchServe can load the Python files.

    Raises:
        ContentError: the message names the part and its setting.
    """
    for setting, part in _parts(model):
        if not part.exists():
            raise ContentError(f"{part} is missing (model.{setting})")
        # Of a checkpoint that is a folder, checking the network says more.
        if part.is_dir() and setting != "extra_files" and not (setting == WEIGHTS and model.is_classifier):
            raise ContentError(f"{part} is no file (model.{setting})")
    try:
        if not model.stock_handler:
            check_handler(model.handler)
        if model.model_file:
            check_model_file(model.model_file)
    except SourceError as exc:
        raise ContentError(str(exc)) from exc


def contents(model: ModelParts, network: NetworkFiles, outputs: str | None) -> Contents:
    """All files of a model.

    Args:
        model: the settings; its parts exist.
        network: files of the network.
        outputs: what the network of a classifier answers; None for other models.

    Raises:
        ContentError: two parts have one place in the archive, or a folder contains itself.
    """
    found = Contents()
    found.add(MANIFEST, _manifest(model, network))
    if not model.stock_handler:
        found.add(model.handler.name, model.handler)
    if network.serialized_file:
        found.add(_serialized_name(model, network) or "", network.serialized_file)
    for part in (network.model_file, model.requirements):
        if part:
            found.add(part.name, part)
    if model.model_config_file:
        found.add(CONFIG_FILE, model.model_config_file)
    for name, data in _described(model, outputs).items():
        found.add(name, json.dumps(data, indent=1).encode())
    for name, module in model.packed_modules.items():
        found.add(name, module)
    for folder in (network.folder, *model.extra_files):
        for name, file in _files(folder):
            found.add(name, file)
    return found


def _parts(model: ModelParts) -> Iterator[tuple[str, Path]]:
    if not model.stock_handler:
        yield "handler", model.handler
    yield from (("handler_modules", module) for module in model.packed_modules.values())
    if model.weights:
        yield WEIGHTS, model.weights.path
    for setting, part in (
        ("model_file", model.model_file),
        ("requirements", model.requirements),
        ("model_config_file", model.model_config_file),
    ):
        if part:
            yield setting, part
    yield from (("extra_files", part) for part in model.extra_files)


def _described(model: ModelParts, outputs: str | None) -> Mapping[str, object]:
    """Files that our handler and TorchServe's read."""
    found: dict[str, object] = {}
    if model.labels:
        found["index_to_name.json"] = {str(index): label for index, label in enumerate(model.labels)}
    if model.image:
        last_layer = {"outputs": outputs} if outputs == PROBABILITIES else {}
        graphs = {"cuda_graphs": True} if model.cuda_graphs else {}
        found["preprocessing.json"] = {**model.image.model_dump(), **last_layer, **graphs}
    return found


def _manifest(model: ModelParts, network: NetworkFiles) -> bytes:
    manifest = ModelExportUtils.generate_manifest_json(
        ModelArchiverConfig(
            model_name=model.name,
            version=model.version,
            handler=str(model.handler),
            serialized_file=_serialized_name(model, network),
            model_file=network.model_file.name if network.model_file else None,
            requirements_file=model.requirements.name if model.requirements else None,
            config_file=CONFIG_FILE if model.model_config_file else None,
        )
    )
    # Identical inputs give identical archives.
    return json.dumps(json.loads(manifest) | {"createdOn": CREATED_ON}, indent=2).encode()


def _serialized_name(model: ModelParts, network: NetworkFiles) -> str | None:
    file = network.serialized_file
    loads_torchscript = (model.is_classifier or model.stock_handler) and not network.model_file
    if file and loads_torchscript and file.suffix not in NETWORK_SUFFIXES:
        return f"{file.stem}.pt"
    return file.name if file else None


def _files(part: Path) -> Iterator[tuple[str, Path]]:
    """Path in the archive and file; of a folder, its content, as torch-model-archiver packs it."""
    if not part.is_dir():
        yield part.name, part
        return
    for root, folders, names in os.walk(part, followlinks=True):
        above = Path(root).resolve()
        folders[:] = [each for each in folders if not each.startswith(".") and each not in SKIPPED_FOLDERS]
        for folder in folders:
            if above.is_relative_to((Path(root) / folder).resolve()):
                raise ContentError(f"{Path(root) / folder} links to a folder above itself")
        for name in names:
            file = Path(root) / name
            yield str(file.relative_to(part)), file


def _shown(content: Content) -> str:
    return str(content) if isinstance(content, Path) else "a file that packing writes"
