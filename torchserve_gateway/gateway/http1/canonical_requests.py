"""Other spellings of a request that has a route."""

from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True)
class CanonicalRequest:
    """Routes HEAD as GET, and a path with a slash at its end as the path without.

    The server leaves the body out of an answer to HEAD. Starlette's redirect to the path without the slash
    would lose the scheme behind a proxy that ends TLS. Middleware further out sees what the client sent.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection event as ASGI wants it."""
        changes = _changes(scope) if scope["type"] == "http" else {}
        if not changes:
            await self.app(scope, receive, send)
            return
        routed = {**scope, **changes}
        try:
            await self.app(routed, receive, send)
        finally:
            # For metrics and traces.
            if "route" in routed:
                scope["route"] = routed["route"]


def _changes(scope: Scope) -> dict[str, object]:
    changes: dict[str, object] = {}
    if scope["method"] == "HEAD":
        changes["method"] = "GET"
    path, raw_path = scope["path"], scope.get("raw_path") or scope["path"].encode()
    # An encoded slash is part of a segment.
    if path != "/" and raw_path.endswith(b"/"):
        changes |= {"path": path.removesuffix("/"), "raw_path": raw_path.removesuffix(b"/")}
    return changes
