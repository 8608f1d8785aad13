"""The version of the next deploy: what serves, if nothing changed, else a version that was never used."""

import re
import tempfile
from pathlib import Path

from torchserve_gateway.deployment.archives.building import built_archive
from torchserve_gateway.downloads import sha256
from torchserve_gateway.record.record import DeployedModel
from torchserve_gateway.settings.deployment import UploadSettings


def version_of(settings: UploadSettings, deployed: DeployedModel | None) -> str:
    """The configured version, or the serving version; the next number if its archive has other content.

    Raises:
        ArchiveBuildError: the archive cannot be built.
    """
    version = deployed.serving.version if deployed else settings.model.version
    existing = _digest(settings, version, deployed)
    if existing is None or _built_digest(settings, version) == existing:
        return version
    return next_version(_taken(settings, deployed))


def next_version(taken: set[str]) -> str:
    """The first whole number above all versions."""
    numbers = [int(found[0]) for each in taken if (found := re.match(r"\d+", each))]
    return f"{max(numbers, default=0) + 1}.0"


def _digest(settings: UploadSettings, version: str, deployed: DeployedModel | None) -> str | None:
    """Checksum of the archive that has this version already; None: there is none."""
    if deployed and deployed.serving.version == version:
        return deployed.serving.sha256
    file = settings.model_mars / f"{settings.model.name}-{version}.mar"
    return sha256(file) if file.is_file() else None


def _built_digest(settings: UploadSettings, version: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        model = settings.model.model_copy(update={"version": version})
        update = {"model": model, "model_mars": Path(folder)}
        return sha256(built_archive(settings.model_copy(update=update)))


def _taken(settings: UploadSettings, deployed: DeployedModel | None) -> set[str]:
    name = settings.model.name
    archives = {each.stem.removeprefix(f"{name}-") for each in settings.model_mars.glob(f"{name}-[0-9]*.mar")}
    if deployed is None:
        return archives
    recorded = (deployed.serving, *deployed.previous)
    return archives | {each.version for each in recorded} | set(deployed.retiring)
