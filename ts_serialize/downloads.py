"""Downloads a file from any URL fsspec reads: resumed after a break, with progress for people."""

import hashlib
import logging
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import urlsplit

import aiohttp
from fsspec.core import url_to_fs
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
# A stalled server must not hold the command for ever; a slow one may take as long as it needs.
HTTP_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)


class DownloadError(Exception):
    """The file could not be downloaded; what was is kept, so that the next try goes on from there."""


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(url: str, part: Path) -> None:
    """Downloads into `part`, from where an earlier try stopped.

    Raises:
        DownloadError: no connection, no such file, no disk, or a scheme that fsspec does not read.
    """
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        _download(url, part)
    # fsspec passes on what its back end raises: OSError, aiohttp's errors, ValueError for unknown schemes.
    except (OSError, aiohttp.ClientError, TimeoutError, ValueError, ImportError) as exc:
        raise DownloadError(f"fetching {url} failed: {str(exc) or type(exc).__name__}") from exc


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
