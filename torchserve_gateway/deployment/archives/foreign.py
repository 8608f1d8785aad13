"""Archives of others, taken as they are: name, version and parameters come from the archive."""

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torchserve_gateway.deployment.archives.model_config import ModelConfig, model_config_of
from torchserve_gateway.deployment.archives.remote import temporary_directory
from torchserve_gateway.deployment.archives.verification import Archive, verified
from torchserve_gateway.deployment.errors import ArchiveRefusedError
from torchserve_gateway.downloads import sha256
from torchserve_gateway.record.manifest import MANIFEST, UNREADABLE, model_in


@dataclass(frozen=True)
class Described:
    """An archive's own words about itself; None where it says nothing."""

    name: str | None
    version: str | None
    config: ModelConfig | None


def described(file: Path) -> Described:
    """Reads manifest and model-config.yaml.

    Raises:
        ArchiveRefusedError: the file is no model archive that TorchServe takes under a name of ours.
    """
    _refuse_other_formats(file)
    try:
        with zipfile.ZipFile(file) as archive:
            model = model_in(archive)
            return Described(
                _text(model.get("modelName")),
                _text(model.get("modelVersion")),
                model_config_of(archive, file.name),
            )
    except UNREADABLE as exc:
        raise ArchiveRefusedError(f"{file} is no model archive: {exc}") from exc


@contextmanager
def foreign_archive(file: Path, model: str, version: str, expected_sha256: str | None) -> Iterator[Archive]:
    """The archive under the name `<model>-<version>.mar`; others often name all versions alike.

    An archive of another version, or without a version, is copied with the wanted version in its manifest:
    TorchServe takes the version from there alone.

    Raises:
        ArchiveRefusedError: it fails verification.
    """
    has_version = described(file).version == version
    if not has_version and expected_sha256 and (digest := sha256(file)) != expected_sha256:
        raise ArchiveRefusedError(f"{file} has sha256 {digest}, expected is {expected_sha256}")
    with temporary_directory() as directory:
        named = directory / f"{model}-{version}.mar"
        if has_version:
            named.symlink_to(file.resolve())
        else:
            _copy_as(version, file, named)
        archive = verified(named, str(file), version, expected_sha256 if has_version else None)
        yield replace(archive, source=file.name)


def _refuse_other_formats(file: Path) -> None:
    """Names the way from the archiver's other formats, tgz and no-archive, to a .mar."""
    if file.is_dir():
        raise ArchiveRefusedError(
            f"{file} is a folder (torch-model-archiver --archive-format no-archive); pack it first: "
            f"python3 -m zipfile -c {file.name}.mar {file}/*"
        )
    if not file.is_file():
        raise ArchiveRefusedError(f"{file} does not exist")
    if file.name.endswith((".tar.gz", ".tgz")):
        name = file.name.split(".")[0]
        raise ArchiveRefusedError(
            f"{file} is a tar file (torch-model-archiver --archive-format tgz); pack it as .mar first: "
            f"tar -xzf {file} && python3 -m zipfile -c {name}.mar {name}/*"
        )


def _text(value: object) -> str | None:
    """A value as TorchServe reads it: it takes numbers for text."""
    return None if value in (None, "") else str(value)


def _copy_as(version: str, source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as packed, zipfile.ZipFile(target, "w") as copy:
        for entry in packed.infolist():
            if entry.filename == MANIFEST:
                manifest: dict[str, Any] = json.loads(packed.read(entry))
                manifest["model"]["modelVersion"] = version
                copy.writestr(entry, json.dumps(manifest, indent=2))
            elif not entry.is_dir():
                with packed.open(entry) as content, copy.open(entry, "w", force_zip64=True) as written:
                    while piece := content.read(1 << 20):
                        written.write(piece)
