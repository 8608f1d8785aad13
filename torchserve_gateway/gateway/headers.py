"""Values of request headers: white space around them, and the syntax of a Content-Type."""

import re
from dataclasses import dataclass
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from torchserve_gateway.gateway.errors import MalformedRequestError

# TorchServe refuses a request whose head has more than 8 KiB.
MAX_MEDIA_TYPE_CHARS = 1024
SHOWN_CHARS = 100
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# RFC 9110, section 8.3.1; beyond it, a value without quotes may have any visible character: boundaries do.
# Possessive, since white space between two parameters could belong to either.
_VALUE = r'(?:[!#-:<-~]++|"(?:[\t !#-\[\]-~]|\\[\t -~])*+")'
_MEDIA_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(?:[ \t]*+;[ \t]*+(?:{_TOKEN}={_VALUE})?+)*+")


@lru_cache
def raw_name(name: str) -> bytes:
    """A header's name as in an ASGI scope."""
    return name.lower().encode()


def check_media_type(content_type: str) -> None:
    """Passes a Content-Type that can be forwarded.

    Raises:
        MalformedRequestError: it is too long, or no media type with parameters.
    """
    if len(content_type) > MAX_MEDIA_TYPE_CHARS:
        raise MalformedRequestError(
            f"the Content-Type {content_type[:SHOWN_CHARS]!r}... has {len(content_type)} characters, "
            f"at most {MAX_MEDIA_TYPE_CHARS} are allowed"
        )
    if not _MEDIA_TYPE.fullmatch(content_type):
        raise MalformedRequestError(
            f"the Content-Type {content_type[:SHOWN_CHARS]!r} is no media type; "
            "send one such as image/jpeg or application/octet-stream"
        )


@dataclass(frozen=True)
class TrimmedHeaders:
    """Takes white space around the values of all request headers off; RFC 9110, section 5.5."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""
        if scope["type"] == "http":
            scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        await self.app(scope, receive, send)
