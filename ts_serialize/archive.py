"""Checkpoint + handler + labels + preprocessing -> model archive, with torch-model-archiver."""

import filecmp
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

from torchserve_gateway.downloads import sha256
from torchserve_gateway.settings.composition import WorkingPath, path_in_archive
from torchserve_gateway.settings.model import ModelSettings
from torchserve_gateway.settings.project import ProjectSettings
from ts_serialize.checkpoint_kinds import other_kind
from ts_serialize.network_check import Expectation, NetworkCheck, NetworkError
from ts_serialize.preprocessing import input_size
from ts_serialize.torchscript import loaded

logger = logging.getLogger(__name__)

# The oldest time a zip file can hold: identical inputs give identical archives.
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


class ArchiveSettings(ProjectSettings):
    """The root `config/archive.yaml`."""

    model_mars: WorkingPath
    force: bool

    @property
    def archive_path(self) -> Path:
        """Where the archive is written."""
        return self.model_mars / self.model.archive_name


class ArchiveError(Exception):
    """No archive was written; one that was there is untouched."""


def build_archive(settings: ArchiveSettings) -> Path:
    """Checks the checkpoint, packs the archive and moves it into `model_mars`.

    Identical inputs give a byte-identical file, so packing again changes nothing.

    Raises:
        ArchiveError: a part is missing, parts do not fit together, or this version exists with other content.
    """
    target = settings.archive_path
    check_checkpoint(settings.model)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".packing-") as directory:
            packed = _pack(settings.model, Path(directory))
            up_to_date = target.exists() and filecmp.cmp(packed, target, shallow=False)
            if target.exists() and not up_to_date and not settings.force:
                raise ArchiveError(
                    f"{target} exists with other content; a version never changes: "
                    f"choose another VERSION than {settings.model.version}, or pass ARGS=force=true"
                )
            # `upload_model` from a URL reads it: what is beside an archive says what the archive must be.
            checksum = target.with_name(target.name + ".sha256")
            checksum.write_text(f"{sha256(packed)}  {target.name}\n")
            if up_to_date:
                logger.info("%s is up to date", target.name)
                return target
            packed.replace(target)
    except (OSError, ModelArchiverError) as exc:
        raise ArchiveError(f"packing {target.name} failed: {exc}") from exc
    logger.info("packed %s (%.1f MB)", target, target.stat().st_size / 1e6)
    return target


def check_checkpoint(model: ModelSettings) -> None:
    """Runs the checkpoint as a worker will, so that a wrong one is found here and not there.

    Raises:
        ArchiveError: a part is missing, or the checkpoint is not TorchScript or cannot serve.
    """
    path = model.weights.path
    if not path.exists():
        raise ArchiveError(f"{path} is missing")
    for part in (model.handler, *model.handler_modules):
        if not part.is_file():
            raise ArchiveError(f"{part} is {'no file' if part.exists() else 'missing'}")
    try:
        if kind := other_kind(path):
            raise ArchiveError(f"{path} is not a TorchScript file; it is {kind}")
        network = loaded(path)
    except (OSError, RuntimeError, ValueError) as exc:
        raise ArchiveError(
            f"{path} cannot be loaded by torch {torch.__version__}: {_first_line(exc)}"
        ) from exc
    image = model.image
    try:
        NetworkCheck(
            network,
            Expectation(
                input_size(image.model_dump()), image.mean, image.std, len(model.labels), model.batch_size
            ),
        )()
    except NetworkError as exc:
        raise ArchiveError(f"{path} {exc}") from exc


def _pack(model: ModelSettings, directory: Path) -> Path:
    # The archiver always works in <temporary directory>/<model name>; two runs must not meet there.
    export = directory / "export"
    export.mkdir()
    # It also reports that folder, gone before anybody can look, as the place of the archive.
    logging.disable(logging.INFO)
    previous, tempfile.tempdir = tempfile.tempdir, str(directory)
    try:
        generate_model_archive(
            ModelArchiverConfig(
                model_name=model.name,
                version=model.version,
                handler=str(model.handler),
                serialized_file=str(model.weights.path),
                export_path=str(export),
                archive_format="no-archive",
            )
        )
    finally:
        tempfile.tempdir = previous
        logging.disable(logging.NOTSET)
    _add_extra_files(model, export / model.name)
    return _zip(export / model.name, directory / model.archive_name)


def _add_extra_files(model: ModelSettings, folder: Path) -> None:
    """What the handler reads and imports; the archiver would take paths apart at commas and brackets."""
    labels = {str(index): label for index, label in enumerate(model.labels)}
    (folder / "index_to_name.json").write_text(json.dumps(labels, indent=1))
    (folder / "preprocessing.json").write_text(model.image.model_dump_json(indent=1))
    for module in model.handler_modules:
        copy = folder / path_in_archive(module)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(module, copy)


def _zip(folder: Path, target: Path) -> Path:
    # The archiver's own zip holds today's date in every entry and in the manifest, so no two are the same.
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
