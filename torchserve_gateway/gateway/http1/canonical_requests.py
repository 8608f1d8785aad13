"""Normalizes requests before routing: HEAD and trailing slashes."""

from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True)
class CanonicalRequest:
    """Routes HEAD as GET, and a path with a trailing slash as the path without it.

    The server omits the body of an answer to HEAD. Starlette would redirect to the path without the slash,
    with the wrong scheme behind a proxy that terminates TLS. Outer middleware sees the original request.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""
        changes = _changes(scope) if scope["type"] == "http" else {}
        if not changes:
            await self.app(scope, receive, send)
            return
        routed = {**scope, **changes}
        try:
            await self.app(routed, receive, send)
        finally:
            # Metrics and traces read the route from the original scope.
            if "route" in routed:
                scope["route"] = routed["route"]


def _changes(scope: Scope) -> dict[str, object]:
    changes: dict[str, object] = {}
    if scope["method"] == "HEAD":
        changes["method"] = "GET"
    path, raw_path = scope["path"], scope.get("raw_path") or scope["path"].encode()
    # The raw path decides: an encoded slash (%2F) belongs to the last segment.
    if path != "/" and raw_path.endswith(b"/"):
        changes |= {"path": path.removesuffix("/"), "raw_path": raw_path.removesuffix(b"/")}
    return changes
