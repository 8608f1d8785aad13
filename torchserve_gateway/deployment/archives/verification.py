"""What must hold of an archive before TorchServe gets to see it: its address, its checksum, its version."""

import json
import logging
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from torchserve_gateway.deployment.archives.model_config import ModelConfig, model_config_of
from torchserve_gateway.deployment.errors import ArchiveRefusedError
from torchserve_gateway.downloads import USER_INFO, DownloadError, download, sha256, without_credentials

logger = logging.getLogger(__name__)

CHECKSUM_SUFFIX = ".sha256"
MAX_CHECKSUM_BYTES = 4096


def refuse_unless_allowed(url: str, allowed: Sequence[str]) -> None:
    """The rule that TorchServe applies to the URLs it gets, for those that we fetch.

    allowed: regular expressions, one of which must match the whole URL.

    Raises:
        ArchiveRefusedError: none does, or the URL holds credentials or several addresses.
    """
    shown = without_credentials(url)
    if USER_INFO.match(url):
        raise ArchiveRefusedError(
            f"{shown} was given with a user or password, which the process list shows to others; "
            "docs/archives.md says where credentials belong"
        )
    # fsspec reads `a::b` as one file system inside another, and the rule is about one address; [::1] is one.
    chained = "::" in re.sub(r"\[[^\]]*\]", "", url)
    if chained or not any(re.fullmatch(pattern, url) for pattern in allowed):
        raise ArchiveRefusedError(
            f"{shown} does not match any allowed URL; torchserve.allowed_urls and the file browser allow: "
            f"{', '.join(allowed)}"
        )


def published_checksum(url: str, file: Path) -> str:
    """What the file beside the archive says, as `make generate_mar` writes it. file: where to download it to.

    Raises:
        ArchiveRefusedError: there is none, or it holds no checksum.
    """
    shown = without_credentials(url)
    unknown = f"nobody says what {shown} must be: set archive_source.sha256"
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


def verified(file: Path, source: str, expected: str | None) -> str:
    """The sha256 of a file. source: how messages call it; expected: None if nobody said.

    Raises:
        ArchiveRefusedError: it is not the expected one.
    """
    digest = sha256(file)
    if expected and digest != expected:
        raise ArchiveRefusedError(f"{source} has sha256 {digest}, expected is {expected}")
    logger.info("%s has %ssha256 %s", source, "the expected " if expected else "", digest)
    return digest


def inspected(file: Path, source: str, version: str) -> ModelConfig | None:
    """Looks into the archive, since TorchServe keeps a file that it downloaded and could not use.

    Returns:
        its model-config.yaml, None if it has none.

    Raises:
        ArchiveRefusedError: it is no model archive, of another version, or its model-config.yaml is wrong.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            found = json.loads(archive.read("MAR-INF/MANIFEST.json"))["model"]["modelVersion"]
            config = model_config_of(archive, source)
    # RuntimeError: encrypted, or packed in a way that Python cannot read.
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, KeyError, ValueError, TypeError) as exc:
        raise ArchiveRefusedError(f"{source} is no model archive: {exc}") from exc
    if found != version:
        raise ArchiveRefusedError(f"{source} is an archive of version {found}, not {version}")
    return config
