"""Verifies an archive before TorchServe runs the code in it: checksum, version and model-config.yaml."""

import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path

from torchserve_gateway.deployment.archives.model_config import ModelConfig, model_config_of
from torchserve_gateway.deployment.archives.requirements import requirements_of
from torchserve_gateway.deployment.errors import ArchiveRefusedError
from torchserve_gateway.downloads import sha256
from torchserve_gateway.record.engine import Engine, engine_of
from torchserve_gateway.record.inputs import takes_images
from torchserve_gateway.record.manifest import UNREADABLE, model_in

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Archive:
    """A verified archive."""

    source: str
    """Origin for the record: a file name, or a URL without credentials."""
    url: str
    """Value of `url` in `POST /models`: a file name in the model store, or an address."""
    file: Path | None
    """File to put into the model store first; None if TorchServe downloads the archive."""
    name: str
    """File name in the model store."""
    sha256: str
    """Hex digest of the content."""
    config: ModelConfig | None = None
    """Its model-config.yaml, if it has one."""
    engine: Engine | None = None
    """Its engine and parity, if packing noted them."""
    requirements: str | None = None
    """Name of its requirements file, if it has one."""
    takes_images: bool | None = None
    """Whether it says that inputs are images; None: it was not read."""


def verified(file: Path, source: str, version: str, expected_sha256: str | None) -> Archive:
    """Checks a file in full.

    Args:
        file: the archive; its name becomes the name in the model store.
        source: name of the archive in messages.
        version: model version that the archive must hold.
        expected_sha256: hex digest; None if it is not known.

    Raises:
        ArchiveRefusedError: wrong checksum, no model archive, another version, or a bad model-config.yaml.
    """
    digest = sha256(file)
    if expected_sha256 and digest != expected_sha256:
        raise ArchiveRefusedError(f"{source} has sha256 {digest}, expected is {expected_sha256}")
    logger.info("%s has %ssha256 %s", source, "the expected " if expected_sha256 else "", digest)
    config = inspected(file, source, version)
    try:
        engine, requirements, images = engine_of(file), requirements_of(file), takes_images(file)
    except UNREADABLE as exc:
        raise ArchiveRefusedError(f"{source} is no model archive: {exc}") from exc
    return Archive(source, file.name, file, file.name, digest, config, engine, requirements, images)


def inspected(file: Path, source: str, version: str) -> ModelConfig | None:
    """Reads manifest and model-config.yaml; TorchServe would keep a downloaded file that it cannot use.

    Returns:
        the model-config.yaml, None if the archive has none.

    Raises:
        ArchiveRefusedError: no model archive, another version, or a bad model-config.yaml.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            found = model_in(archive)["modelVersion"]
            config = model_config_of(archive, source)
    except UNREADABLE as exc:
        raise ArchiveRefusedError(f"{source} is no model archive: {exc}") from exc
    if found != version:
        raise ArchiveRefusedError(f"{source} is an archive of version {found}, not {version}")
    return config
