"""Packs checkpoint, handler, labels and preprocessing into a model archive with torch-model-archiver."""

import filecmp
import hashlib
import json
import logging
import shutil
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import torch
from model_archiver.model_archiver_config import ModelArchiverConfig
from model_archiver.model_archiver_error import ModelArchiverError
from model_archiver.model_packaging import generate_model_archive

from ts_serialize.archive_parts import ArchiveRequest, ModelParts
from ts_serialize.checkpoint import CheckpointError, original_network
from ts_serialize.conversion.errors import ConversionError
from ts_serialize.conversion.network_files import NetworkFiles, network_files
from ts_serialize.network_check import Expectation, NetworkCheck, NetworkError
from ts_serialize.preprocessing import input_size

logger = logging.getLogger(__name__)

# The oldest time a zip file can hold: identical inputs give identical archives.
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


class ArchiveError(Exception):
    """No archive was written; an existing archive is unchanged."""


def build_archive(request: ArchiveRequest) -> Path:
    """Checks the checkpoint, packs the archive and moves it to its path.

    Identical inputs give a byte-identical file, so packing again changes nothing.

    Raises:
        ArchiveError: a part is missing, parts do not fit together, the engine answers too differently, or
            this version exists with other content.
    """
    target, model = request.archive_path, request.model
    network = check_checkpoint(model)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".packing-") as directory:
            converted = Path(directory) / "network"
            converted.mkdir()
            files = network_files(model, network, expectation(model), converted)
            packed = _pack(model, files, Path(directory))
            up_to_date = target.exists() and filecmp.cmp(packed, target, shallow=False)
            if target.exists() and not up_to_date and not request.force:
                raise ArchiveError(
                    f"{target} exists with other content; a version never changes: "
                    f"choose another VERSION than {model.version}, or pass ARGS=force=true"
                )
            _write_checksum(packed, target)
            if up_to_date:
                logger.info("%s is up to date", target.name)
                return target
            packed.replace(target)
    except ConversionError as exc:
        raise ArchiveError(
            f"{target.name} was not written with engine={model.engine} precision={model.precision}: {exc}"
        ) from exc
    except (OSError, ModelArchiverError) as exc:
        raise ArchiveError(f"packing {target.name} failed: {exc}") from exc
    logger.info("packed %s (%.1f MB)", target, target.stat().st_size / 1e6)
    return target


def check_checkpoint(model: ModelParts) -> torch.nn.Module:
    """Runs the checkpoint as a worker will, so that a bad checkpoint fails here and not in the worker.

    Returns:
        the network in evaluation mode.

    Raises:
        ArchiveError: a part is missing, or the checkpoint has not the engine's format or cannot serve.
    """
    path = model.checkpoint.path
    if not path.exists():
        raise ArchiveError(f"{path} is missing")
    for part in (model.handler, *model.handler_modules):
        if not part.is_file():
            raise ArchiveError(f"{part} is {'no file' if part.exists() else 'missing'}")
    try:
        network = original_network(path, model.engine)
    except CheckpointError as exc:
        raise ArchiveError(f"{path} {exc}") from exc
    except (OSError, RuntimeError, ValueError) as exc:
        raise ArchiveError(
            f"{path} cannot be loaded by torch {torch.__version__}: {_first_line(exc)}"
        ) from exc
    try:
        NetworkCheck(network, expectation(model))()
    except NetworkError as exc:
        raise ArchiveError(f"{path} {exc}") from exc
    return network


def expectation(model: ModelParts) -> Expectation:
    """Requirements of the handler to the network of this model."""
    image = model.preprocessing
    shape = input_size(image.model_dump())
    return Expectation(shape, image.mean, image.std, len(model.labels), model.batch_size)


def _write_checksum(packed: Path, target: Path) -> None:
    # `upload_model` from a URL verifies the archive against the file beside it.
    with packed.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    target.with_name(target.name + ".sha256").write_text(f"{digest}  {target.name}\n")


def _pack(model: ModelParts, network: NetworkFiles, directory: Path) -> Path:
    # The archiver always works in <temporary directory>/<model name>; two runs must not meet there.
    export = directory / "export"
    export.mkdir()
    # The archiver logs that temporary folder as the place of the archive.
    logging.disable(logging.INFO)
    previous, tempfile.tempdir = tempfile.tempdir, str(directory)
    try:
        generate_model_archive(
            ModelArchiverConfig(
                model_name=model.name,
                version=model.version,
                handler=str(model.handler),
                serialized_file=_named(network.serialized_file),
                model_file=_named(network.model_file),
                export_path=str(export),
                archive_format="no-archive",
            )
        )
    finally:
        tempfile.tempdir = previous
        logging.disable(logging.NOTSET)
    _add_extra_files(model, export / model.name)
    shutil.copytree(network.folder, export / model.name, dirs_exist_ok=True)
    return _zip(export / model.name, directory / model.archive_name)


def _named(file: Path | None) -> str | None:
    return str(file) if file else None


def _add_extra_files(model: ModelParts, folder: Path) -> None:
    """Adds the files that the handler reads and imports; the archiver splits paths at commas and brackets."""
    if model.labels:
        labels = {str(index): label for index, label in enumerate(model.labels)}
        (folder / "index_to_name.json").write_text(json.dumps(labels, indent=1))
    if model.image:
        (folder / "preprocessing.json").write_text(json.dumps(model.image.model_dump(), indent=1))
    for packed_as, module in model.packed_modules.items():
        copy = folder / packed_as
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(module, copy)


def _zip(folder: Path, target: Path) -> Path:
    # The archiver's own zip holds the current date in every entry and in the manifest.
    manifest = folder / "MAR-INF" / "MANIFEST.json"
    content = json.loads(manifest.read_text())
    content["createdOn"] = datetime(*ZIP_EPOCH, tzinfo=UTC).strftime("%d/%m/%Y %H:%M:%S")
    manifest.write_text(json.dumps(content, indent=2))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(str(file.relative_to(folder)), ZIP_EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes())
    return target


def _first_line(exc: Exception) -> str:
    return next((line.strip() for line in str(exc).splitlines() if line.strip()), type(exc).__name__)
