"""Fetches a checkpoint: any URL fsspec reads, verified, resumed after a break, never half in place."""

import hashlib
import logging
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import urlsplit

import aiohttp
from fsspec.core import url_to_fs
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from ts_serialize.settings import WeightsSettings

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
# A stalled server must not hold the command for ever; a slow one may take as long as it needs.
HTTP_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)


class WeightsError(Exception):
    """The checkpoint could not be fetched or is not the expected one; a file that was there is untouched."""


def fetch_weights(weights: WeightsSettings) -> Path:
    """Makes sure that the configured checkpoint lies at `weights.path`.

    Raises:
        WeightsError: no source, no connection, no disk, or another checksum than configured.
    """
    if weights.path.exists() and weights.sha256 in (None, sha256(weights.path)):
        logger.info("%s is there, nothing to fetch", weights.path.name)
        return weights.path
    if weights.url is None:
        raise WeightsError(_no_source(weights))
    part = weights.path.with_name(weights.path.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        _download(weights.url, part)
        digest = sha256(part)
        if digest != weights.sha256:
            part.unlink()
            raise WeightsError(
                f"{weights.url} has sha256 {digest}, the configuration expects {weights.sha256}; "
                f"{weights.path} is unchanged"
            )
        part.replace(weights.path)
    # fsspec passes on what its back end raises: OSError, aiohttp's errors, ValueError for unknown schemes.
    except (OSError, aiohttp.ClientError, TimeoutError, ValueError, ImportError) as exc:
        reason = str(exc) or type(exc).__name__
        raise WeightsError(
            f"fetching {weights.url} failed: {reason}; the next run goes on where this one stopped"
        ) from exc
    logger.info("fetched %s into %s", weights.url, weights.path)
    return weights.path


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _no_source(weights: WeightsSettings) -> str:
    if weights.path.exists():
        return (
            f"{weights.path} has sha256 {sha256(weights.path)}, the configuration expects {weights.sha256}, "
            "and model.weights.url is null, so there is nowhere to fetch it from"
        )
    return (
        f"{weights.path} is missing and model.weights.url is null: set the URL and its sha256, "
        "or make the demo checkpoint with `make train`"
    )


def _download(url: str, part: Path) -> None:
    is_http = urlsplit(url).scheme.startswith("http")
    filesystem, path = url_to_fs(url, **({"client_kwargs": {"timeout": HTTP_TIMEOUT}} if is_http else {}))
    size = filesystem.size(path)
    offset = part.stat().st_size if part.exists() else 0
    if offset and size and offset <= size:
        try:
            with filesystem.open(path, "rb") as source:
                source.seek(offset)
                _copy(source, part, "ab", size)
        # A server without range requests: fsspec finds out when it reads.
        except ValueError as exc:
            logger.info("starting again: %s", exc)
        else:
            return
    # As a stream, since a seekable file over HTTP needs ranges even to be read in order.
    with filesystem.open(path, "rb", **({"block_size": 0} if is_http else {})) as source:
        _copy(source, part, "wb", size)


def _copy(source: BinaryIO, part: Path, mode: Literal["ab", "wb"], size: int | None) -> None:
    with part.open(mode) as target, _progress() as progress:
        task = progress.add_task(part.stem, total=size, completed=target.tell())
        while chunk := source.read(CHUNK_BYTES):
            target.write(chunk)
            progress.advance(task, len(chunk))


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    return Progress("{task.description}", *columns, console=console, disable=not console.is_terminal)
