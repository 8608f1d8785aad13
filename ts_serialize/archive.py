"""Packs a model's parts into a model archive, byte for byte the same for the same parts."""

import filecmp
import hashlib
import logging
import shutil
import tempfile
import zipfile
from pathlib import Path

import torch

from ts_serialize.archive_contents import ContentError, Contents, check_parts, contents
from ts_serialize.archive_parts import ArchiveRequest, ModelParts
from ts_serialize.checkpoint import CheckpointError, original_network
from ts_serialize.conversion.errors import ConversionError
from ts_serialize.conversion.network_files import NetworkFiles, network_files
from ts_serialize.eager_network import eager_network
from ts_serialize.network_check import CheckedNetwork, NetworkCheck, NetworkError
from ts_serialize.network_input import Expectation
from ts_serialize.preprocessing import input_size

logger = logging.getLogger(__name__)

# The oldest time a zip file can hold: identical inputs give identical archives.
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


class ArchiveError(Exception):
    """No archive was written; an existing archive is unchanged."""


def build_archive(request: ArchiveRequest) -> Path:
    """Checks the parts, packs the archive and moves it to its path.

    Identical inputs give a byte-identical file, so packing again changes nothing.

    Raises:
        ArchiveError: a part is missing, parts do not fit together, the engine answers too differently, or
            this version exists with other content.
    """
    target, model = request.archive_path, request.model
    try:
        check_parts(model)
        network = check_checkpoint(model) if model.is_classifier else None
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".packing-") as directory:
            converted = Path(directory) / "network"
            converted.mkdir()
            packed = Path(directory) / target.name
            _zip(_contents(model, network, converted), packed)
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
    except ContentError as exc:
        raise ArchiveError(str(exc)) from exc
    except ConversionError as exc:
        raise ArchiveError(
            f"{target.name} was not written with engine={model.engine} precision={model.precision}: {exc}"
        ) from exc
    except OSError as exc:
        raise ArchiveError(f"packing {target.name} failed: {exc}") from exc
    logger.info("packed %s (%.1f MB)", target, target.stat().st_size / 1e6)
    return target


def check_checkpoint(model: ModelParts) -> CheckedNetwork:
    """Runs the checkpoint as a worker will, so that a bad checkpoint fails here and not in the worker.

    Returns:
        the network in evaluation mode, and what it answers.

    Raises:
        ArchiveError: a part is missing, or the checkpoint has not the engine's format or cannot serve.
    """
    path = model.checkpoint.path
    try:
        check_parts(model)
        if model.model_file:
            network = eager_network(path, model.model_file, model.extra_files)
        else:
            network = original_network(path, model.engine)
        return NetworkCheck(network, expectation(model))()
    except ContentError as exc:
        raise ArchiveError(str(exc)) from exc
    except (CheckpointError, NetworkError) as exc:
        raise ArchiveError(f"{path} {exc}") from exc
    except (OSError, RuntimeError, ValueError) as exc:
        raise ArchiveError(
            f"{path} cannot be loaded by torch {torch.__version__}: {_first_line(exc)}"
        ) from exc


def expectation(model: ModelParts) -> Expectation:
    """Requirements of the handler to the network of this model."""
    image = model.preprocessing
    shape = input_size(image.model_dump())
    return Expectation(shape, image.mean, image.std, len(model.labels), model.batch_size, model.outputs)


def _contents(model: ModelParts, checked: CheckedNetwork | None, folder: Path) -> Contents:
    if checked:
        files = network_files(model, checked.network, expectation(model), folder)
        return contents(model, files, checked.outputs)
    weights = model.weights.path if model.weights else None
    return contents(model, NetworkFiles(weights, model.model_file, folder), None)


def _write_checksum(packed: Path, target: Path) -> None:
    # `upload_model` from a URL verifies the archive against the file beside it.
    with packed.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    target.with_name(target.name + ".sha256").write_text(f"{digest}  {target.name}\n")


def _zip(found: Contents, target: Path) -> None:
    # The archiver's own zip holds the current date in every entry.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, content in found.sorted():
            entry = zipfile.ZipInfo(name, ZIP_EPOCH)
            entry.external_attr = 0o644 << 16
            if isinstance(content, bytes):
                archive.writestr(entry, content)
                continue
            entry.file_size = content.stat().st_size
            with content.open("rb") as source, archive.open(entry, "w") as copy:
                shutil.copyfileobj(source, copy)


def _first_line(exc: Exception) -> str:
    return next((line.strip() for line in str(exc).splitlines() if line.strip()), type(exc).__name__)
