"""Archives behind a URL.

The deployer downloads and verifies every archive itself. A TorchServe that shares the model store gets the
verified file. A TorchServe with another disk gets the URL, presigned where the store offers that (s3://), so
that TorchServe needs no credentials.
"""

import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from torchserve_gateway.deployment.archives.verification import Archive, verified
from torchserve_gateway.deployment.errors import ArchiveRefusedError
from torchserve_gateway.downloads import (
    USER_INFO,
    DownloadError,
    TooLargeError,
    download,
    filesystem_of,
    without_credentials,
)
from torchserve_gateway.settings.deployment import SwapSettings

logger = logging.getLogger(__name__)

CHECKSUM_SUFFIX = ".sha256"
MAX_CHECKSUM_BYTES = 4096
# Long enough for the last of several replicas to begin its download.
PRESIGNED_FOR_S = 3600


@contextmanager
def remote_archive(
    settings: SwapSettings, url: str, version: str, expected_sha256: str | None
) -> Iterator[Archive]:
    """Downloads and verifies the archive behind a URL; the downloaded file ends with the context.

    Raises:
        ArchiveRefusedError: the URL is not allowed or not reached, or the archive is too large, has no
            known checksum, or fails verification.
    """
    refuse_unless_allowed(url, settings.allowed_urls)
    shared_store = settings.torchserve.model_store is not None
    # Buckets often hold <version>/model.mar, so the staged name comes from model and version. TorchServe
    # names its own downloads after the URL.
    name = f"{settings.served.name}-{version}.mar" if shared_store else _name_in_url(url)
    with temporary_directory() as directory:
        file = directory / name
        expected = expected_sha256 or _published_checksum(url, directory / "checksum")
        _fetch(url, file, settings.max_archive_mb)
        archive = verified(file, without_credentials(url), version, expected)
        if not shared_store:
            file.unlink()
            archive = replace(archive, url=_address_for_torchserve(url), file=None)
        yield archive


def refuse_unless_allowed(url: str, allowed: Sequence[str]) -> None:
    """Applies TorchServe's own rule for URLs to the deployer's downloads.

    Args:
        url: the address of the archive.
        allowed: regular expressions; at least one must match the whole URL.

    Raises:
        ArchiveRefusedError: no expression matches, or the URL holds credentials or several addresses.
    """
    shown = without_credentials(url)
    if USER_INFO.match(url):
        raise ArchiveRefusedError(
            f"{shown} was given with a user or password, which the process list shows to other users; "
            "docs/archives.md lists the places for credentials"
        )
    # fsspec reads `a::b` as one file system inside another, but the rule covers one address; [::1] is one.
    chained = "::" in re.sub(r"\[[^\]]*\]", "", url)
    if chained or not any(re.fullmatch(pattern, url) for pattern in allowed):
        raise ArchiveRefusedError(
            f"{shown} does not match any allowed URL; torchserve.allowed_urls and the file browser allow: "
            f"{', '.join(allowed)}"
        )


def _published_checksum(url: str, file: Path) -> str:
    """The checksum in `<url>.sha256`, as `make generate_mar` writes it; downloaded to `file`."""
    shown = without_credentials(url)
    unknown = f"the checksum of {shown} is not known: set archive_source.sha256"
    if "?" in url:
        raise ArchiveRefusedError(f"{unknown}, a URL with a query has no file beside it")
    try:
        download(url + CHECKSUM_SUFFIX, file, MAX_CHECKSUM_BYTES)
    except DownloadError as exc:
        raise ArchiveRefusedError(f"{unknown}, or put {shown}{CHECKSUM_SUFFIX} beside it ({exc})") from exc
    first_word = file.read_text(errors="replace").partition(" ")[0].strip()
    if not re.fullmatch("[0-9a-fA-F]{64}", first_word):
        raise ArchiveRefusedError(
            f"{unknown}; {shown}{CHECKSUM_SUFFIX} holds {first_word[:20]!r}, not 64 hexadecimal digits"
        )
    return first_word.lower()


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A folder for an archive on its way into the model store.

    Raises:
        ArchiveRefusedError: there is no place for it.
    """
    try:
        directory = tempfile.TemporaryDirectory(prefix="archive-")
    except OSError as exc:
        raise ArchiveRefusedError(f"no folder for the archive, set TMPDIR: {exc}") from exc
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
    """The name that TorchServe gives the downloaded file: the last part of the path, without the query."""
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
