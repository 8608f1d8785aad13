"""Where an archive comes from, and that it is the right one before TorchServe runs the code in it.

A TorchServe that shares our model store never downloads: the deployer does, verifies the file and stages
just that one. A TorchServe with another disk gets a URL; then the deployer verifies what is behind it first,
and where the store offers presigned URLs (s3://) TorchServe gets one of those and needs no credentials.
"""

import logging
import re
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from torchserve_gateway.deployment.archives.model_config import ModelConfig
from torchserve_gateway.deployment.archives.verification import (
    inspected,
    published_checksum,
    refuse_unless_allowed,
    verified,
)
from torchserve_gateway.deployment.errors import ArchiveRefusedError, ModelStoreError
from torchserve_gateway.downloads import (
    DownloadError,
    TooLargeError,
    download,
    filesystem_of,
    without_credentials,
)
from torchserve_gateway.settings.deployment import SwapSettings

logger = logging.getLogger(__name__)

# Long enough for the last of several replicas to begin its download.
PRESIGNED_FOR_S = 3600


@dataclass(frozen=True)
class Archive:
    """A verified archive.

    source: where it came from, as it may be recorded; url: what TorchServe is to load; file: what to put into
    the model store first, None if TorchServe downloads it; name: its file name there; sha256: of its content;
    config: its model-config.yaml.
    """

    source: str
    url: str
    file: Path | None
    name: str
    sha256: str
    config: ModelConfig | None = None


def local_archive(settings: SwapSettings, file: Path, version: str, expected_sha256: str | None) -> Archive:
    """An archive on our disk.

    Raises:
        ArchiveRefusedError: TorchServe has another disk, or it has another checksum or version.
        ModelStoreError: it is not there.
    """
    if settings.torchserve.model_store is None:
        raise ArchiveRefusedError(
            f"{file} cannot be put into TorchServe's model store, torchserve.model_store is null; give a URL "
            "that TorchServe can download from, for example archive_source=file_browser"
        )
    if not file.is_file():
        raise ModelStoreError(f"{file} does not exist; build it with make generate_mar")
    digest = verified(file, str(file), expected_sha256)
    config = inspected(file, str(file), version)
    return Archive(file.name, file.name, file, file.name, digest, config)


@contextmanager
def remote_archive(
    settings: SwapSettings, url: str, version: str, expected_sha256: str | None
) -> Iterator[Archive]:
    """The archive behind a URL; what was downloaded of it ends with the context.

    Raises:
        ArchiveRefusedError: not allowed, not reached, too large, no archive of that version, or its checksum
            is missing or differs.
    """
    refuse_unless_allowed(url, settings.allowed_urls)
    source = without_credentials(url)
    shared_store = settings.torchserve.model_store is not None
    # Ours are named by version, as buckets often hold <version>/model.mar; TorchServe names its own.
    name = f"{settings.served_model.model_name}-{version}.mar" if shared_store else _name_in_url(url)
    with _temporary_directory() as directory:
        file = directory / name
        expected = expected_sha256 or published_checksum(url, directory / "checksum")
        _fetch(url, file, settings.max_archive_mb)
        digest = verified(file, source, expected)
        config = inspected(file, source, version)
        if shared_store:
            yield Archive(source, name, file, name, digest, config)
        else:
            file.unlink()
            yield Archive(source, _address_for_torchserve(url), None, name, digest, config)


@contextmanager
def _temporary_directory() -> Iterator[Path]:
    try:
        directory = tempfile.TemporaryDirectory(prefix="archive-")
    except OSError as exc:
        raise ArchiveRefusedError(f"there is no place to download to, set TMPDIR: {exc}") from exc
    # As Ctrl-C does already: what is half downloaded is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with directory as path:
        yield Path(path)


def _fetch(url: str, file: Path, max_archive_mb: int) -> None:
    try:
        download(url, file, max_archive_mb * 1_000_000)
    except TooLargeError as exc:
        raise ArchiveRefusedError(f"{exc}: max_archive_mb = {max_archive_mb}") from exc
    except DownloadError as exc:
        raise ArchiveRefusedError(str(exc)) from exc
    logger.info("fetched %s", without_credentials(url))


def _name_in_url(url: str) -> str:
    """What TorchServe will call the file it downloads: the last part of the path, without the query."""
    name = urlsplit(url).path.rsplit("/", 1)[-1]
    if not re.fullmatch(r"[A-Za-z0-9_.-]+\.mar", name):
        raise ArchiveRefusedError(
            f"{without_credentials(url)} must end in <name>.mar, letters, digits and _ . - only: "
            "TorchServe takes other files for other formats"
        )
    return name


def _address_for_torchserve(url: str) -> str:
    if url.startswith(("http://", "https://")):
        return url
    try:
        filesystem, path = filesystem_of(url)
        return str(filesystem.sign(path, expiration=PRESIGNED_FOR_S))
    except NotImplementedError as exc:
        raise ArchiveRefusedError(
            f"TorchServe cannot download {url} and its store offers no presigned URLs; use http(s):// or s3://"
        ) from exc
    # Each store has exceptions of its own.
    except Exception as exc:
        raise ArchiveRefusedError(f"no presigned URL for {url}: {exc}") from exc
