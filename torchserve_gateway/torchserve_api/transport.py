"""Sends HTTP calls to TorchServe: adds the token, keeps the deadline, translates httpx's exceptions."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
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
from torchserve_gateway.torchserve_api.headers import RawHeaders, by_name
from torchserve_gateway.torchserve_api.http_connection import AnswerTooLargeError
from torchserve_gateway.torchserve_api.http_pool import Origin, PooledTransport, head_of, response_of
from torchserve_gateway.torchserve_api.tokens import Tokens
from torchserve_gateway.torchserve_api.values import value

# Codings of a body that are decoded here; any other is passed on as it is.
DECODED = frozenset({"gzip", "deflate"})
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout)
NOT_HTTP = (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError)

WITH_A_BODY = frozenset({"POST", "PUT"})

Api = Literal["inference", "management"]


@lru_cache(maxsize=256)
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


@value
class Call:
    """A request to an API, without the parts that are the same for every call."""

    method: str
    path: str
    """Path with quoted segments, without a query."""
    params: Mapping[str, str | int] | None
    content: bytes | None
    headers: RawHeaders


@value
class Answer:
    """A complete answer."""

    status: int
    headers: Mapping[str, str]
    """Values by lower-case name; several values of a name are joined, as RFC 9110, 5.3, allows."""
    raw_headers: Sequence[tuple[bytes, bytes]]
    """The same as bytes: handlers may send values that are not ASCII."""
    content: bytes
    """Decoded body."""


class Transport:
    """Sends calls to an API of TorchServe. The caller owns and closes `http`.

    httpx's client around it would add redirects, cookies and sign-in, which TorchServe does not have, at a
    third of the cost of a call.
    """

    def __init__(
        self,
        http: httpx.AsyncBaseTransport,
        api: Api,
        base_url: str,
        tokens: Tokens,
        settings: TorchServeSettings,
    ) -> None:
        self._http = http
        self._api = api
        self._base_url = base_url
        self._tokens = tokens
        self._max_answer_bytes = settings.max_answer_bytes
        self._connect_timeout_s = settings.connect_timeout_s
        url = httpx.URL(base_url)
        self._origin: Origin = url.raw_scheme, url.raw_host, url.port
        self._host = url.netloc

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
    ) -> Answer:
        """Sends a call, and repeats it with a renewed token if TorchServe refuses the token.

        A call refused for its token was not executed, so repeating it is safe. handler_answers: returns an
        error answer that is the handler's own.

        Raises:
            InvalidRequestError: the request is not valid HTTP, so it was not sent.
            UnreachableError, DeadlineExceededError: no answer.
            RefusedError: an answer of status 400 or above; the subclass tells why.
        """
        call = Call(method, path, params, content, headers)
        try:
            async with asyncio.timeout(deadline_s):
                token = self._tokens.current(self._api)
                try:
                    return await self._send(call, token, handler_answers)
                except TokenRefusedError:
                    renewed = await self._tokens.renewed(self._api, token)
                    return await self._send(call, renewed, handler_answers)
        except TimeoutError as exc:
            raise DeadlineExceededError(
                f"TorchServe's {self._api} API at {self._base_url} did not answer {method} {path} "
                f"within {deadline_s:g} s"
            ) from exc
        except AnswerTooLargeError as exc:
            raise InvalidAnswerError(
                f"TorchServe's {self._api} API answers more than the {self._max_answer_bytes} bytes "
                "of torchserve.max_answer_bytes"
            ) from exc
        except (httpx.HTTPError, *NOT_HTTP) as exc:
            text = str(exc)[:200] or type(exc).__name__
            raise _kind(exc)(f"TorchServe's {self._api} API at {self._base_url}: {text}") from exc

    async def _send(self, call: Call, token: str | None, handler_answers: bool) -> Answer:
        if token:
            call = replace(call, headers=(*call.headers, (b"Authorization", f"Bearer {token}".encode())))
        answer = await self._answer(call)
        status, content = answer.status, answer.content
        if status >= 400 and not (handler_answers and is_handlers(status, answer.headers, content)):
            raise refusal(status, content)
        return answer

    async def _answer(self, call: Call) -> Answer:
        if not isinstance(self._http, PooledTransport) or call.params:
            request = httpx.Request(
                call.method,
                self._base_url + call.path,
                params=call.params,
                headers=call.headers,
                content=call.content,
                extensions={"timeout": {"connect": self._connect_timeout_s}},
            )
            return await self._read(await self._http.handle_async_request(request))
        content = call.content or b""
        size = ((b"Content-Length", str(len(content)).encode()),) if call.method in WITH_A_BODY else ()
        headers = ((b"Host", self._host), *call.headers, *size)
        head = head_of(call.method, call.path.encode("ascii"), headers)
        whole = await self._http.ask(self._origin, head, content, self._connect_timeout_s)
        by_lower_name = by_name(whole.headers)
        if "content-encoding" in by_lower_name:
            return await self._read(response_of(whole))
        return Answer(whole.status, by_lower_name, whole.headers, whole.body)

    async def _read(self, response: httpx.Response) -> Answer:
        """Reads an answer of bounded size."""
        raw, stream = response.headers.raw, response.stream
        headers = by_name(raw)
        coding = headers.get("content-encoding", "").strip().lower()
        body = bytearray()
        assert isinstance(stream, httpx.AsyncByteStream)
        try:
            async for piece in response.aiter_bytes() if coding in DECODED else stream:
                body += piece
                if len(body) > self._max_answer_bytes:
                    raise AnswerTooLargeError
        finally:
            await response.aclose()
        if coding in DECODED:
            raw = [each for each in raw if each[0].lower() != b"content-encoding"]
        return Answer(response.status_code, headers, raw, bytes(body))


def _kind(exc: Exception) -> type[TorchServeError]:
    if isinstance(exc, NOT_HTTP):
        return InvalidRequestError
    if isinstance(exc, httpx.DecodingError):
        return InvalidAnswerError
    return NotConnectedError if isinstance(exc, NOT_SENT) else UnreachableError
