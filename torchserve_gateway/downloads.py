"""Downloads a file from any URL that fsspec reads; resumes after a break and shows progress on a terminal."""

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO, Literal

from fsspec.core import url_to_fs
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from torchserve_gateway.terminal.spinner import console
from torchserve_gateway.terminal.waits import Wait, waiting

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
# Seconds. A stalled server must not block the command; a slow server may take as long as it needs.
HTTP_TIMEOUT_S = {"sock_connect": 30.0, "sock_read": 60.0}
TRIES = 3

# `user@` in http(s), which may be a token, and `user:password@` in any scheme; container@account is neither.
USER_INFO = re.compile(r"(https?://)[^\s/?#'\"]*@|(\w+://)[^\s/?#'\"@:]*:[^\s/?#'\"]*@")
HTTP_QUERY = re.compile(r"(https?://[^\s?'\"]*)\?[^\s'\"]*")


class DownloadError(Exception):
    """The download failed; the part that arrived is kept, and the next try resumes from it."""


class TooLargeError(DownloadError):
    """The file is larger than the caller accepts."""


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def without_credentials(text: str) -> str:
    """Removes passwords from all URLs in a text, and queries, which may be signatures, from http(s) URLs."""
    return HTTP_QUERY.sub(r"\1", USER_INFO.sub(r"\1\2", text))


def filesystem_of(url: str) -> tuple[Any, str]:
    """Opens the file system of a URL with fsspec; also returns the path of the file in it.

    Raises:
        Exception: any exception of fsspec and its back ends.
    """
    options: dict[str, object] = {}
    if _is_http(url):
        # A fifth of a command's start, which all others save.
        from aiohttp import ClientTimeout  # noqa: PLC0415

        options["client_kwargs"] = {"timeout": ClientTimeout(**HTTP_TIMEOUT_S)}
    elif "?versionId=" in url:
        # Otherwise s3fs takes the newest version, whatever the URL says.
        options["version_aware"] = True
    filesystem, path = url_to_fs(url, **options)
    return filesystem, path


def download(url: str, part: Path, max_bytes: int | None = None) -> None:
    """Downloads into `part`; resumes an earlier try.

    Raises:
        TooLargeError: the file has more than max_bytes.
        DownloadError: no connection, no such file, no disk space, or a scheme that fsspec does not read.
    """
    for tries_left in reversed(range(TRIES)):
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            _download(url, part, max_bytes)
        except DownloadError:
            raise
        # fsspec passes on the exceptions of its back ends, and each has its own.
        except Exception as exc:
            if tries_left and any(_is_broken_connection(each) for each in _causes(exc)):
                logger.warning("%s: the connection broke, resuming", without_credentials(url))
                continue
            raise DownloadError(f"fetching {without_credentials(url)} failed: {_reason(exc, url)}") from exc
        else:
            return


def _is_http(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _is_broken_connection(exc: BaseException) -> bool:
    """An established connection broke; the stores' own clients (s3) retry by themselves."""
    from aiohttp import ClientPayloadError, ServerDisconnectedError  # noqa: PLC0415

    return isinstance(exc, ClientPayloadError | ServerDisconnectedError | ConnectionResetError)


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__


def _reason(exc: Exception, url: str) -> str:
    """The innermost cause in one line; fsspec's own exception is often just FileNotFoundError(url)."""
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
        # The server has no range requests, which fsspec notices when it reads.
        except ValueError as exc:
            logger.info("restarting the download: %s", exc)
        else:
            return
    # As a stream: over HTTP a seekable file needs range requests even for reading in order.
    with filesystem.open(path, "rb", **({"block_size": 0} if _is_http(url) else {})) as source:
        _copy(source, part, "wb", size, max_bytes)


def _copy(
    source: BinaryIO, part: Path, mode: Literal["ab", "wb"], size: int | None, max_bytes: int | None
) -> None:
    terminal = console()
    # On a terminal the bar says it.
    said = nullcontext(Wait(part.stem)) if terminal.is_terminal else waiting(part.stem)
    with part.open(mode) as target, _progress(terminal) as progress, said as wait:
        task = progress.add_task(part.stem, total=size, completed=target.tell())
        while chunk := source.read(CHUNK_BYTES):
            target.write(chunk)
            # The announced size may be missing or wrong.
            if max_bytes and target.tell() > max_bytes:
                raise TooLargeError(f"{part.name} has more than the {max_bytes} bytes that are allowed")
            progress.advance(task, len(chunk))
            wait.state = f"{target.tell() / 1e6:.0f}{f' of {size / 1e6:.0f}' if size else ''} MB"


def _progress(terminal: Console) -> Progress:
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    return Progress("{task.description}", *columns, console=terminal, disable=not terminal.is_terminal)
