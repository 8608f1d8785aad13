"""Sends HTTP calls to TorchServe: adds the token, keeps the deadline, translates httpx's exceptions."""

import asyncio
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Literal
from urllib.parse import quote

import httpx

from torchserve_gateway.settings.torchserve import TorchServeSettings
from torchserve_gateway.torchserve_api.errors import (
    DeadlineExceededError,
    InvalidAnswerError,
    InvalidRequestError,
    NotConnectedError,
    TokenRefusedError,
    TorchServeError,
    UnreachableError,
    refusal,
)
from torchserve_gateway.torchserve_api.handler_answers import is_handlers
from torchserve_gateway.torchserve_api.headers import RawHeaders
from torchserve_gateway.torchserve_api.pools import PooledTransport
from torchserve_gateway.torchserve_api.tokens import Tokens

# Describe the transfer, not the body that was read.
FRAMING = frozenset({b"content-length", b"transfer-encoding"})
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout)
NOT_HTTP = (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError)

Api = Literal["inference", "management"]


def path_of(*segments: str) -> str:
    """Quotes segments into a URL path.

    Raises:
        InvalidRequestError: a segment would not survive: HTTP clients remove `.` and `..` from paths, and
            TorchServe decodes a path before it splits it at slashes.
    """
    for segment in segments:
        if segment in ("", ".", "..") or "/" in segment:
            raise InvalidRequestError(f"'{segment[:100]}' cannot be a name in a path of TorchServe's APIs")
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


def new_client(
    settings: TorchServeSettings, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """Makes the client of both APIs. It limits connecting only: every call has its own deadline."""
    timeout = httpx.Timeout(None, connect=settings.connect_timeout_s)
    # httpx would send a handler's cookie for its caller along with the requests of other callers.
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    # trust_env: a proxy variable in the shell must not send loopback calls elsewhere.
    return httpx.AsyncClient(
        timeout=timeout, trust_env=False, cookies=no_cookies, transport=transport or PooledTransport()
    )


class Transport:
    """Sends calls to an API of TorchServe. The caller owns and closes the client."""

    def __init__(
        self, client: httpx.AsyncClient, api: Api, base_url: str, tokens: Tokens, max_answer_bytes: int
    ) -> None:
        self._client = client
        self._api = api
        self._base_url = base_url
        self._tokens = tokens
        self._max_answer_bytes = max_answer_bytes

    async def call(
        self,
        method: str,
        path: str,
        deadline_s: float,
        *,
        params: Mapping[str, str | int] | None = None,
        content: bytes | None = None,
        headers: RawHeaders = (),
        handler_answers: bool = False,
    ) -> httpx.Response:
        """Sends a call, and repeats it with a renewed token if TorchServe refuses the token.

        A call refused for its token was not executed, so repeating it is safe. handler_answers: returns an
        error answer that is the handler's own.

        Raises:
            InvalidRequestError: the request is not valid HTTP, so it was not sent.
            UnreachableError, DeadlineExceededError: no answer.
            RefusedError: an answer of status 400 or above; the subclass tells why.
        """
        try:
            request = self._client.build_request(
                method, self._base_url + path, params=params, content=content, headers=headers
            )
            async with asyncio.timeout(deadline_s):
                token = self._tokens.current(self._api)
                try:
                    return await self._send(request, token, handler_answers)
                except TokenRefusedError:
                    renewed = await self._tokens.renewed(self._api, token)
                    return await self._send(request, renewed, handler_answers)
        except TimeoutError as exc:
            raise DeadlineExceededError(
                f"TorchServe's {self._api} API at {self._base_url} did not answer {method} {path} "
                f"within {deadline_s:g} s"
            ) from exc
        except (httpx.HTTPError, *NOT_HTTP) as exc:
            text = str(exc)[:200] or type(exc).__name__
            raise _kind(exc)(f"TorchServe's {self._api} API at {self._base_url}: {text}") from exc

    async def _send(self, request: httpx.Request, token: str | None, handler_answers: bool) -> httpx.Response:
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        response = await self._read(await self._client.send(request, stream=True))
        status, content = response.status_code, response.content
        if status >= 400 and not (handler_answers and is_handlers(status, response.headers, content)):
            raise refusal(status, content)
        return response

    async def _read(self, streamed: httpx.Response) -> httpx.Response:
        """Reads an answer of bounded size."""
        body = bytearray()
        try:
            async for chunk in streamed.aiter_bytes():
                body += chunk
                if len(body) > self._max_answer_bytes:
                    raise InvalidAnswerError(
                        f"TorchServe's {self._api} API answers more than the {self._max_answer_bytes} bytes "
                        "of torchserve.max_answer_bytes"
                    )
        finally:
            await streamed.aclose()
            # httpx's stream refers to its response and request: the cycle would keep both bodies.
            streamed.stream = httpx.ByteStream(b"")
        # As bytes: handlers may send values that are not ASCII.
        gone = FRAMING | ({b"content-encoding"} if self._decodes(streamed) else frozenset())
        headers = [each for each in streamed.headers.raw if each[0].lower() not in gone]
        return httpx.Response(streamed.status_code, headers=headers, content=bytes(body))

    def _decodes(self, response: httpx.Response) -> bool:
        """Whether httpx has decoded the body; it leaves unknown codings as they are."""
        coding = response.headers.get("content-encoding", "").strip().lower()
        return coding in self._client.headers.get("accept-encoding", "").split(", ")


def _kind(exc: Exception) -> type[TorchServeError]:
    if isinstance(exc, NOT_HTTP):
        return InvalidRequestError
    if isinstance(exc, httpx.DecodingError):
        return InvalidAnswerError
    return NotConnectedError if isinstance(exc, NOT_SENT) else UnreachableError
