"""The HTTP client of the load test.

aiohttp takes a tenth of httpx's CPU time for a request, which the measured server would otherwise lack
(`tools/bench/load_generator.py`).
"""

import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp

# Shorter than the keep-alive of the servers, so that no request meets a connection that is being closed.
KEEP_ALIVE_S = 2.0


class Answer(NamedTuple):
    """A complete response."""

    status: int
    """HTTP status."""
    version: str | None
    """Model version that answered, X-Model-Version."""
    body: bytes
    """Undecoded body."""


class NoAnswerError(Exception):
    """No complete response.

    kind: short name for counting.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Sender:
    """Posts bodies over as many connections as there are requests in flight.

    tls: None for the certificate authorities of this machine.
    """

    def __init__(
        self,
        base_url: str,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls or True, keepalive_timeout=KEEP_ALIVE_S),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            headers={"Content-Type": "application/octet-stream", **(headers or {})},
        )

    async def __aenter__(self) -> Self:
        """The sender itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes all connections."""
        await self._session.close()

    async def post(self, path: str, body: bytes) -> Answer:
        """Sends once and reads the whole response.

        Raises:
            NoAnswerError: no complete response in time.
        """
        url = self._base_url + path
        try:
            async with self._session.post(url, data=body, allow_redirects=False) as response:
                return Answer(response.status, response.headers.get("x-model-version"), await response.read())
        except (aiohttp.ClientError, OSError) as exc:
            raise NoAnswerError(_kind(exc), f"no answer from {url}: {exc or type(exc).__name__}") from exc


def _kind(exc: Exception) -> str:
    if isinstance(exc, TimeoutError):
        return "ReadTimeout"
    if isinstance(exc, aiohttp.ClientConnectorError):
        return "ConnectError"
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        return "RemoteProtocolError"
    return "ReadError"
