"""Answers plain predictions of one image without FastAPI's routing: the same endpoints at a lower cost.

FastAPI matches a path against every route, resolves the parameters of the endpoint and enters several
contexts, which takes longer than the rest of the gateway. Its routes stay: they describe the paths, and they
answer all requests that are not plain.
"""

import re

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from torchserve_gateway.gateway.access.auth import Check
from torchserve_gateway.gateway.names import is_name
from torchserve_gateway.gateway.problems import ANSWERED, answer_disconnect, answer_error

PREFIX = "/predictions/"
PARAMETERS = ("model", "version")
# FastAPI parses any other query.
_QUERY = re.compile(rb"model=([A-Za-z0-9_.-]+)")


class DirectRoutes:
    """Passes all other requests on to the application.

    Args:
        app: The wrapped application.
        router: Routes `/predict` and `/predictions/{model}[/{version}]`.
        authorize: Checks key and rate before the body is read; None if nothing is checked.
    """

    def __init__(self, app: ASGIApp, router: APIRouter, authorize: Check | None) -> None:
        self._app = app
        self._authorize = authorize
        routes = (each for each in router.routes if isinstance(each, APIRoute))
        self._routes = {(method, each.path): each for each in routes for method in each.methods or ()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""
        path, names = _parsed(scope)
        route = self._routes.get((scope["method"], path)) if path else None
        if route is None:
            await self._app(scope, receive, send)
            return
        # For metrics and for the check of keys, as FastAPI does.
        scope["route"], scope["path_params"] = route, names
        request = Request(scope, receive, send)
        try:
            if self._authorize:
                await self._authorize(request)
            response = await route.endpoint(request, **names)
        except ANSWERED as exc:
            response = answer_error(request, exc)
        except ClientDisconnect:
            response = answer_disconnect(request)
        await response(scope, receive, send)


def _parsed(scope: Scope) -> tuple[str, dict[str, str]]:
    """Path of the route and its parameters; an empty path where FastAPI has to look."""
    path = scope["path"] if scope["type"] == "http" else ""
    if path == "/predict":
        return _parsed_query(path, scope["query_string"])
    if not path.startswith(PREFIX):
        return "", {}
    segments = path[len(PREFIX) :].split("/")
    if len(segments) > len(PARAMETERS) or not all(map(is_name, segments)):
        return "", {}
    names = dict(zip(PARAMETERS, segments, strict=False))
    return PREFIX + "/".join(f"{{{name}}}" for name in names), names


def _parsed_query(path: str, query: bytes) -> tuple[str, dict[str, str]]:
    if not query:
        return path, {}
    found = _QUERY.fullmatch(query)
    model = found[1].decode() if found else ""
    return (path, {"model": model}) if is_name(model) else ("", {})
