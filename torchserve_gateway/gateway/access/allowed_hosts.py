"""Which names the gateway is reached under, so that no web page reaches it by a name of its own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from torchserve_gateway.gateway.errors import UnknownHostError
from torchserve_gateway.gateway.problems import answer_error

# A name, an IPv4 or a bracketed IPv6 address; the port does not count.
HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]*)?")


@dataclass(frozen=True)
class AllowedHosts:
    """Refuses requests for other hosts. patterns: `api.example.com`, or `*.example.com` for all below it.

    Starlette's own middleware answers in plain text where everything else is a problem document.
    """

    app: ASGIApp
    patterns: Sequence[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection event as ASGI wants it."""
        if scope["type"] != "http" or self._is_allowed(Headers(scope=scope).get("host", "")):
            await self.app(scope, receive, send)
            return
        error = UnknownHostError("the Host header names no host that this gateway is reached under")
        await answer_error(Request(scope), error)(scope, receive, send)

    def _is_allowed(self, header: str) -> bool:
        named = HOST.fullmatch(header.lower())
        return named is not None and any(
            named[1].endswith(pattern[1:]) if pattern.startswith("*.") else named[1] == pattern
            for pattern in map(str.lower, self.patterns)
        )
