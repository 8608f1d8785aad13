"""Where an archive comes from, and that it is the right one before TorchServe runs the code in it.

A TorchServe that shares our model store never downloads: the deployer does, verifies the file and stages
just that one. Another TorchServe gets a URL; then the deployer verifies what is behind it first, and where
the store offers presigned URLs (s3://) TorchServe gets one of those, so that it needs no credentials.
"""

import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fsspec.core import url_to_fs

from deployment.errors import ArchiveRefusedError, ModelStoreError
from ts_serialize.downloads import DownloadError, download, sha256

logger = logging.getLogger(__name__)

CHECKSUM_SUFFIX = ".sha256"
# Long enough for TorchServe to begin its download.
PRESIGNED_FOR_S = 600


@dataclass(frozen=True)
class Archive:
    """One archive.

    url: what TorchServe is to load; file: to be put into the model store first, None if it is not ours to
    put; sha256: of its content.
    """

    url: str
    file: Path | None
    sha256: str


@contextmanager
def archive_of(
    source: str, expected_sha256: str | None, model_mars: Path, *, shared_store: bool, allowed: Sequence[str]
) -> Iterator[Archive]:
    """The verified archive behind `source`, a file name in model_mars or a URL; a download ends with it.

    allowed: regular expressions of URLs; shared_store: whether TorchServe's model store is on our disk.

    Raises:
        ArchiveRefusedError: the URL is not allowed or not reached, or the checksum is missing or differs.
        ModelStoreError: there is no such file in model_mars.
    """
    if "://" not in source:
        yield local_archive(model_mars / source, expected_sha256)
        return
    refuse_unless_allowed(source, allowed)
    with tempfile.TemporaryDirectory(prefix="archive-") as directory:
        file = Path(directory) / file_name(source)
        expected = expected_sha256 or _published_checksum(source, Path(directory))
        try:
            download(source, file)
        except DownloadError as exc:
            raise ArchiveRefusedError(str(exc)) from exc
        _verified(file, source, expected)
        if shared_store:
            yield Archive(file.name, file, expected)
        else:
            yield Archive(_address_for_torchserve(source), None, expected)


def file_name(source: str) -> str:
    """The archive's name in the model store."""
    return source.split("?", maxsplit=1)[0].rsplit("/", 1)[-1]


def refuse_unless_allowed(url: str, allowed: Sequence[str]) -> None:
    """The rule that TorchServe applies to the URLs it gets, for those that we fetch.

    Raises:
        ArchiveRefusedError: no pattern matches the whole URL.
    """
    if not any(re.fullmatch(pattern, url) for pattern in allowed):
        raise ArchiveRefusedError(
            f"{url} does not match any allowed URL; torchserve.allowed_urls and the file browser allow: "
            f"{', '.join(allowed) or 'none'}"
        )


def local_archive(file: Path, expected: str | None) -> Archive:
    """An archive on our disk. expected: its sha256, None if nobody said what it should be.

    Raises:
        ArchiveRefusedError: it has another checksum.
        ModelStoreError: it is not there.
    """
    if not file.is_file():
        raise ModelStoreError(f"{file} does not exist; build it with make generate_mar")
    return Archive(file.name, file, _verified(file, str(file), expected))


def _verified(file: Path, source: str, expected: str | None) -> str:
    digest = sha256(file)
    if expected and digest != expected:
        raise ArchiveRefusedError(f"{source} has sha256 {digest}, expected is {expected}")
    logger.info("%s has %ssha256 %s", file.name, "the expected " if expected else "", digest)
    return digest


def _published_checksum(source: str, directory: Path) -> str:
    """What the file beside the archive says, as `make generate_mar` writes it."""
    url, file = source + CHECKSUM_SUFFIX, directory / "checksum"
    try:
        download(url, file)
        checksum = file.read_text().split()[0]
    except (DownloadError, UnicodeDecodeError, IndexError) as exc:
        raise ArchiveRefusedError(
            f"nobody says what {source} must be: set archive_source.sha256, or put {url} beside it ({exc})"
        ) from exc
    return checksum


def _address_for_torchserve(source: str) -> str:
    if source.startswith(("http://", "https://")):
        return source
    filesystem, path = url_to_fs(source)
    try:
        return str(filesystem.sign(path, expiration=PRESIGNED_FOR_S))
    except NotImplementedError as exc:
        raise ArchiveRefusedError(
            f"TorchServe cannot download {source} and its store offers no presigned URLs; use http(s):// or s3://"
        ) from exc
