"""Downloads a file from any URL fsspec reads: resumed after a break, with progress for people."""

import hashlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import aiohttp
from fsspec.core import url_to_fs
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
# A stalled server must not hold the command for ever; a slow one may take as long as it needs.
HTTP_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
TRIES = 3
# The connection was there and broke; the stores' own clients (s3) try again by themselves.
BROKEN_CONNECTION = (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, ConnectionResetError)

# `user@` of http(s), where it may be a token, and `user:password@` of all; a container@account is neither.
USER_INFO = re.compile(r"(https?://)[^\s/?#'\"]*@|(\w+://)[^\s/?#'\"@:]*:[^\s/?#'\"]*@")
HTTP_QUERY = re.compile(r"(https?://[^\s?'\"]*)\?[^\s'\"]*")


class DownloadError(Exception):
    """The file could not be downloaded; what was is kept, so that the next try goes on from there."""


class TooLargeError(DownloadError):
    """The file is larger than the caller takes."""


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def without_credentials(text: str) -> str:
    """A text that may be shown: no password in its URLs, no query (it may be a signature) in http(s) ones."""
    return HTTP_QUERY.sub(r"\1", USER_INFO.sub(r"\1\2", text))


def filesystem_of(url: str) -> tuple[Any, str]:
    """The file system that fsspec has for a URL, and the file's path in it.

    Raises:
        whatever fsspec and its back ends raise.
    """
    options: dict[str, object] = {}
    if _is_http(url):
        options["client_kwargs"] = {"timeout": HTTP_TIMEOUT}
    elif "?versionId=" in url:
        # Otherwise s3fs takes the newest version, whatever the URL says.
        options["version_aware"] = True
    filesystem, path = url_to_fs(url, **options)
    return filesystem, path


def download(url: str, part: Path, max_bytes: int | None = None) -> None:
    """Downloads into `part`, from where an earlier try stopped.

    Raises:
        TooLargeError: it has more than max_bytes.
        DownloadError: no connection, no such file, no disk, or a scheme that fsspec does not read.
    """
    for tries_left in reversed(range(TRIES)):
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            _download(url, part, max_bytes)
        except DownloadError:
            raise
        # fsspec passes on what its back ends raise, and each has exceptions of its own.
        except Exception as exc:
            if tries_left and any(isinstance(each, BROKEN_CONNECTION) for each in _causes(exc)):
                logger.warning("%s: the connection broke, going on", without_credentials(url))
                continue
            raise DownloadError(f"fetching {without_credentials(url)} failed: {_reason(exc, url)}") from exc
        else:
            return


def _is_http(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__


def _reason(exc: Exception, url: str) -> str:
    """What is behind it, in one line: fsspec itself often says no more than FileNotFoundError(url)."""
    said = [str(each) or type(each).__name__ for each in _causes(exc)][-1]
    return "there is no such file" if said in url else without_credentials(" ".join(said.split()))


def _download(url: str, part: Path, max_bytes: int | None) -> None:
    filesystem, path = filesystem_of(url)
    size = filesystem.size(path)
    if max_bytes and size and size > max_bytes:
        raise TooLargeError(f"{without_credentials(url)} has {size} bytes, {max_bytes} are allowed")
    offset = part.stat().st_size if part.exists() else 0
    if offset and size and offset <= size:
        try:
            with filesystem.open(path, "rb") as source:
                source.seek(offset)
                _copy(source, part, "ab", size, max_bytes)
        # A server without range requests: fsspec finds out when it reads.
        except ValueError as exc:
            logger.info("starting again: %s", exc)
        else:
            return
    # As a stream, since a seekable file over HTTP needs ranges even to be read in order.
    with filesystem.open(path, "rb", **({"block_size": 0} if _is_http(url) else {})) as source:
        _copy(source, part, "wb", size, max_bytes)


def _copy(
    source: BinaryIO, part: Path, mode: Literal["ab", "wb"], size: int | None, max_bytes: int | None
) -> None:
    with part.open(mode) as target, _progress() as progress:
        task = progress.add_task(part.stem, total=size, completed=target.tell())
        while chunk := source.read(CHUNK_BYTES):
            target.write(chunk)
            # A server need not say the size, or say the truth.
            if max_bytes and target.tell() > max_bytes:
                raise TooLargeError(f"{part.name} has more than the {max_bytes} bytes that are allowed")
            progress.advance(task, len(chunk))


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    return Progress("{task.description}", *columns, console=console, disable=not console.is_terminal)
