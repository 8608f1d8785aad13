"""Restricts the Host header, against DNS rebinding: web pages that resolve their own name to the gateway."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from torchserve_gateway.gateway.errors import UnknownHostError
from torchserve_gateway.gateway.problems import answer_error

# A name, an IPv4 or a bracketed IPv6 address; the port is ignored.
HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]*)?")


@dataclass(frozen=True)
class AllowedHosts:
    """Refuses requests for other hosts.

    Starlette's own middleware answers in plain text, not with a problem document.
    """

    app: ASGIApp
    """The wrapped application."""
    patterns: Sequence[str]
    """Host names, `api.example.com`, or `*.example.com` for all its subdomains."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""
        if scope["type"] != "http" or self._is_allowed(Headers(scope=scope).get("host", "")):
            await self.app(scope, receive, send)
            return
        error = UnknownHostError("the Host header is not in gateway.allowed_hosts")
        await answer_error(Request(scope), error)(scope, receive, send)

    def _is_allowed(self, header: str) -> bool:
        named = HOST.fullmatch(header.lower())
        return named is not None and any(
            named[1].endswith(pattern[1:]) if pattern.startswith("*.") else named[1] == pattern
            for pattern in map(str.lower, self.patterns)
        )
